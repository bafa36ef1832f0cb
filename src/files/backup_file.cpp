#include "files/backup_file.h"

#include <algorithm>

#include "base/clock.h"
#include "files/digest.h"
#include "files/json.h"
#include "files/new_file.h"

namespace fathom::files {

using base::fail;
using base::Result;

namespace {

constexpr const char* kMark = "fathom_backup";
constexpr std::int64_t kForm = 1;
constexpr std::size_t kLongestHead = std::size_t{64} << 10;
constexpr std::size_t kMostBackupParts = 100;

std::string sha256_of(std::span<const std::byte> bytes) {
  Digest digest(ExpectedDigest{.hex = std::string(64, '0')});
  digest.add(bytes);
  return digest.hex();
}

// A number of the head; -1 where it is none.
std::int64_t count_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer() || *found < 0) return -1;
  return found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX ? -1 : found->get<std::int64_t>();
}

std::string text_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

}  // namespace

Result<void> write_backup(const std::string& path, std::span<const BackupSource> sources) {
  Json parts = Json::array();
  std::vector<MappedFile> files;
  for (const BackupSource& source : sources) {
    auto file = MappedFile::open(source.path);
    if (!file) return std::unexpected(file.error());
    parts.push_back({{"name", source.name},
                     {"schema", source.schema},
                     {"bytes", file->bytes().size()},
                     {"sha256", sha256_of(file->bytes())}});
    files.push_back(std::move(*file));
  }
  const Json head = {{kMark, kForm}, {"made_at", base::rfc3339(base::unix_seconds())}, {"parts", std::move(parts)}};
  auto out = NewFile::create(path);
  if (!out) return std::unexpected(out.error());
  if (auto written = out->write(head.dump() + "\n"); !written) return written;
  for (const MappedFile& file : files)
    if (auto written = out->write(file.bytes()); !written) return written;
  return out->commit();
}

Result<BackupFile> BackupFile::open(const std::string& path) {
  auto file = MappedFile::open(path);
  if (!file) return std::unexpected(file.error());
  const auto bytes = file->bytes();
  const auto start = bytes.first(std::min(bytes.size(), kLongestHead));
  const auto end = std::ranges::find(start, std::byte{'\n'});
  const std::string_view line(reinterpret_cast<const char*>(start.data()),
                              static_cast<std::size_t>(end - start.begin()));
  const bool marked = end != start.end() && line.starts_with(fmt::format("{{\"{}\":", kMark));
  if (!marked) return fail("{}: no backup of fathom's", path);
  const auto head = parse_json(line, path, {.bytes = kLongestHead, .depth = 8, .values = 1000});
  if (!head) return std::unexpected(head.error());
  if (const std::int64_t form = count_in(*head, kMark); form != kForm)
    return fail("{}: written by a newer version of this program (its form is {}, this version knows {})", path, form,
                kForm);
  BackupFile backup;
  backup.path_ = path;
  backup.made_at_ = text_in(*head, "made_at");
  backup.first_byte_ = line.size() + 1;
  std::uint64_t left = bytes.size() - backup.first_byte_;
  const auto parts = head->find("parts");
  if (parts == head->end() || !parts->is_array() || parts->size() > kMostBackupParts)
    return fail("{}: its first line names no parts", path);
  for (const Json& each : *parts) {
    if (!each.is_object()) return fail("{}: its first line names no parts", path);
    const std::int64_t size = count_in(each, "bytes");
    BackupPart part{.name = text_in(each, "name"),
                    .schema = count_in(each, "schema"),
                    .bytes = static_cast<std::uint64_t>(size),
                    .sha256 = text_in(each, "sha256")};
    if (size < 0 || part.schema < 0 || part.name.empty() || !is_hex(part.sha256, 64))
      return fail("{}: its first line names no parts", path);
    if (part.bytes > left)
      return fail("{}: cut off: {} should have {} bytes, but {} are there", path, part.name, part.bytes, left);
    left -= part.bytes;
    backup.parts_.push_back(std::move(part));
  }
  if (left > 0) return fail("{}: {} bytes more than its parts have", path, left);
  backup.file_ = std::move(*file);
  return backup;
}

Result<void> BackupFile::extract(const BackupPart& wanted, const std::string& to) const {
  std::size_t at = first_byte_;
  const BackupPart* part = parts_.data();
  for (; part->name != wanted.name; ++part) at += part->bytes;
  const auto bytes = file_.bytes().subspan(at, part->bytes);
  if (sha256_of(bytes) != part->sha256)
    return fail("{}: damaged: {} is not what was backed up (its SHA-256 is another)", path_, part->name);
  auto out = NewFile::create(to);
  if (!out) return std::unexpected(out.error());
  if (auto written = out->write(bytes); !written) return written;
  return out->commit();
}

}  // namespace fathom::files
