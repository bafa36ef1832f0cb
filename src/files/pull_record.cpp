#include "files/pull_record.h"

#include "files/file_name.h"
#include "files/json.h"
#include "files/new_file.h"

namespace fathom::files {

std::optional<PullRecord> read_record(const std::string& folder) {
  const auto json = read_json(folder + "/" + PullRecord::kFileName, {.bytes = 1 << 24, .depth = 8});
  if (!json || !json->is_object()) return std::nullopt;
  const auto text = [](const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  PullRecord record{text(*json, "name"), text(*json, "repository"), text(*json, "commit"), {}};
  const auto files = json->find("files");
  if (files == json->end() || !files->is_array()) return record;
  for (const auto& file : *files) {
    if (!file.is_object()) continue;
    const std::string name = text(file, "name");
    if (is_plain_file_name(name)) record.digests[name] = text(file, "digest");
  }
  return record;
}

base::Result<void> write_record(const std::string& folder, const PullRecord& record) {
  Json files = Json::array();
  for (const auto& [name, digest] : record.digests) files.push_back({{"name", name}, {"digest", digest}});
  const Json json = {
      {"name", record.name}, {"repository", record.repository}, {"commit", record.commit}, {"files", files}};
  auto out = NewFile::create(folder + "/" + PullRecord::kFileName);
  if (!out) return std::unexpected(out.error());
  if (auto written = out->write(json.dump(2) + "\n"); !written) return written;
  return out->commit();
}

}  // namespace fathom::files
