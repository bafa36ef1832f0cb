#include "files/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "files/gguf.h"
#include "files/gguf_types.h"
#include "files/in_quotes.h"
#include "files/new_file.h"

namespace fathom::files {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

using namespace gguf_type;
constexpr std::string_view kAlignment = "general.alignment";

template <class T>
void put(std::string& out, T value) {
  const auto at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

void put_text(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out += text;
}

template <class T>
std::string scalar(std::uint32_t type, T value) {
  std::string out;
  put(out, type);
  put(out, value);
  return out;
}

template <class T>
std::string list(std::uint32_t type, std::span<const T> values) {
  std::string out;
  put(out, kArray);
  put(out, type);
  put<std::uint64_t>(out, values.size());
  for (const T& value : values) put(out, value);
  return out;
}

std::uint64_t round_up(std::uint64_t n, std::uint64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

std::string& GgufWriter::slot(std::string_view key) {
  const auto found = key_index_.find(key);
  if (found != key_index_.end()) return keys_[found->second].second;
  key_index_.emplace(key, keys_.size());
  return keys_.emplace_back(key, std::string()).second;
}

void GgufWriter::set_u32(std::string_view key, std::uint32_t value) {
  slot(key) = scalar(kU32, value);
}
void GgufWriter::set_i32(std::string_view key, std::int32_t value) {
  slot(key) = scalar(kI32, value);
}
void GgufWriter::set_u64(std::string_view key, std::uint64_t value) {
  slot(key) = scalar(kU64, value);
}
void GgufWriter::set_f32(std::string_view key, float value) {
  slot(key) = scalar(kF32, value);
}
void GgufWriter::set_bool(std::string_view key, bool value) {
  slot(key) = scalar<std::uint8_t>(kBool, value ? 1 : 0);
}
void GgufWriter::set_i32s(std::string_view key, std::span<const std::int32_t> values) {
  slot(key) = list(kI32, values);
}
void GgufWriter::set_f32s(std::string_view key, std::span<const float> values) {
  slot(key) = list(kF32, values);
}

void GgufWriter::set_string(std::string_view key, std::string_view value) {
  std::string& out = slot(key);
  out.clear();
  put(out, kString);
  put_text(out, value);
}

void GgufWriter::set_strings(std::string_view key, std::span<const std::string_view> values) {
  std::string& out = slot(key);
  out.clear();
  put(out, kArray);
  put(out, kString);
  put<std::uint64_t>(out, values.size());
  for (const auto value : values) put_text(out, value);
}

void GgufWriter::copy_keys(const Gguf& from) {
  // The architecture first, where readers that scan for it look.
  if (from.find("general.architecture") != nullptr) slot("general.architecture");
  for (const auto& [key, value] : from.values()) {
    if (key.starts_with("split.")) continue;
    const auto bytes = from.encoded(key);
    slot(key).assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

void GgufWriter::remove(std::string_view key) {
  const auto found = key_index_.find(key);
  if (found == key_index_.end()) return;
  keys_.erase(keys_.begin() + static_cast<std::ptrdiff_t>(found->second));
  key_index_.clear();
  for (std::size_t i = 0; i < keys_.size(); ++i) key_index_.emplace(keys_[i].first, i);
}

base::Result<void> GgufWriter::add_tensor(std::string_view name, base::DType dtype,
                                          std::span<const std::int64_t> shape) {
  const auto& format = base::info(dtype);
  if (format.ggml_id < 0) return base::fail("tensor {} is {}, which GGUF cannot hold", in_quotes(name), format.name);
  if (shape.size() > 4) return base::fail("tensor {} has {} dimensions, GGUF knows 4", in_quotes(name), shape.size());
  std::uint64_t elements = 1;
  for (const auto length : shape) {
    if (length <= 0 || static_cast<std::uint64_t>(length) > std::numeric_limits<std::int64_t>::max() / 8 / elements) {
      return base::fail("tensor {} has an impossible dimension of {}", in_quotes(name), length);
    }
    elements *= static_cast<std::uint64_t>(length);
  }
  const std::int64_t row = shape.empty() ? 1 : shape.back();
  if (row % format.block_elems != 0) {
    return base::fail("tensor {} has rows of {} elements, not a multiple of the {} of a {} block", in_quotes(name), row,
                      format.block_elems, format.name);
  }
  if (!tensor_index_.emplace(name, tensors_.size()).second)
    return base::fail("tensor {} was added twice", in_quotes(name));
  tensors_.push_back({.name = std::string(name),
                      .dtype = dtype,
                      .shape = {shape.begin(), shape.end()},
                      .bytes = elements / format.block_elems * format.block_bytes});
  return {};
}

std::uint64_t GgufWriter::alignment() const {
  const auto found = key_index_.find(kAlignment);
  if (found == key_index_.end()) return 32;
  const std::string& value = keys_[found->second].second;
  std::uint32_t type = 0, bytes = 0;
  FATHOM_CHECK(value.size() == 8);
  std::memcpy(&type, value.data(), 4);
  std::memcpy(&bytes, value.data() + 4, 4);
  FATHOM_CHECK(type == kU32 && bytes >= 8 && std::has_single_bit(bytes));
  return bytes;
}

std::string GgufWriter::header() const {
  const std::uint64_t align = alignment();
  std::string out = "GGUF";
  put<std::uint32_t>(out, 3);
  put<std::uint64_t>(out, tensors_.size());
  put<std::uint64_t>(out, keys_.size());
  for (const auto& [key, value] : keys_) {
    put_text(out, key);
    out += value;
  }
  std::uint64_t offset = 0;
  for (const auto& tensor : tensors_) {
    put_text(out, tensor.name);
    put<std::uint32_t>(out, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto length = tensor.shape.rbegin(); length != tensor.shape.rend(); ++length) put(out, *length);
    put<std::uint32_t>(out, static_cast<std::uint32_t>(base::info(tensor.dtype).ggml_id));
    put<std::uint64_t>(out, offset);
    offset = round_up(offset + tensor.bytes, align);
  }
  out.resize(round_up(out.size(), align), '\0');
  return out;
}

std::uint64_t GgufWriter::file_bytes() const {
  std::uint64_t total = header().size();
  for (const auto& tensor : tensors_) total += round_up(tensor.bytes, alignment());
  return total;
}

base::Result<void> GgufWriter::write(const std::string& path, Fill fill) const {
  auto file = NewFile::create(path);
  if (!file) return std::unexpected(file.error());
  if (auto done = file->reserve(file_bytes()); !done) return done;
  if (auto done = file->write(header()); !done) return done;
  const std::string zeros(alignment(), '\0');
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    std::uint64_t given = 0;
    const auto take = [&](std::span<const std::byte> bytes) {
      given += bytes.size();
      FATHOM_CHECK(given <= tensors_[i].bytes);
      return file->write(bytes);
    };
    if (auto done = fill(i, take); !done) return done;
    FATHOM_CHECK(given == tensors_[i].bytes);
    const auto padding = static_cast<std::size_t>(round_up(given, alignment()) - given);
    if (auto done = file->write(std::string_view(zeros).substr(0, padding)); !done) return done;
  }
  return file->commit();
}

}  // namespace fathom::files
