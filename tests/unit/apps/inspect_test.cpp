// What `inspect` says of the small checkpoints that the goldens come from, and of files that are odd.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "apps/inspect_report.h"
#include "files/json.h"

namespace fathom::apps {
namespace {

namespace fs = std::filesystem;

const fs::path kData = fs::path(FATHOM_SOURCE_DIR) / "tests/golden/data";

// The files of a golden as a program opens them.
std::string model_of(const fs::path& folder) {
  if (fs::is_directory(folder / "model")) return folder / "model";
  if (fs::exists(folder / "model.gguf")) return folder / "model.gguf";
  return folder / "model-00001-of-00002.gguf";
}

ModelReport report_of(const std::string& golden) {
  auto report = examine(model_of(kData / golden));
  if (!report) ADD_FAILURE() << report.error().message;
  return report ? std::move(*report) : ModelReport();
}

bool says(const ModelReport& report, std::string_view words) {
  return std::ranges::any_of(report.odd, [&](const std::string& odd) { return odd.contains(words); });
}

const TensorGroup* group(const ModelReport& report, std::string_view name) {
  const auto found = std::ranges::find(report.groups, name, &TensorGroup::name);
  return found == report.groups.end() ? nullptr : &*found;
}

TEST(Inspect, GroupsAddUpToTheModel) {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(kData)) {
    if (!entry.is_directory()) continue;
    ++models;
    const ModelReport r = report_of(entry.path().filename());
    std::int64_t parameters = 0;
    std::uint64_t bytes = 0;
    for (const auto& g : r.groups)
      for (const auto& [type, part] : g.parts) {
        parameters += part.parameters;
        bytes += part.bytes;
      }
    EXPECT_EQ(parameters, r.sizes.parameters) << entry.path();
    EXPECT_EQ(bytes, r.sizes.bytes) << entry.path();
    EXPECT_TRUE(group(r, "embedding") != nullptr && group(r, "attention") != nullptr) << entry.path();
    EXPECT_EQ(group(r, "output") != nullptr, !r.config.tied) << entry.path();
    EXPECT_EQ(group(r, "experts") != nullptr, r.config.moe.experts > 0) << entry.path();
    ASSERT_EQ(r.caches.size(), 3u);
    EXPECT_EQ(r.caches[0].bytes_per_token, 2 * r.caches[1].bytes_per_token) << "f32 against bf16, " << entry.path();
    ASSERT_TRUE(r.tokenizer) << entry.path();
    EXPECT_LE(r.tokenizer->tokens, r.config.vocabulary);
  }
  EXPECT_GT(models, 10);
}

TEST(Inspect, SaysWhatIsOdd) {
  EXPECT_TRUE(says(report_of("gguf-v2-lite-legacy"), "attn_kv_b"));
  EXPECT_FALSE(says(report_of("gguf-v2-lite-blocks"), "attn_kv_b"));
  EXPECT_TRUE(says(report_of("gguf-v3-ungrouped-legacy"), "how experts are grouped"));
  EXPECT_TRUE(says(report_of("gguf-v3-ungrouped-legacy"), "taken to be one group"));
  EXPECT_FALSE(says(report_of("gguf-v2-grouped-unlabelled"), "how experts are grouped"));
  EXPECT_TRUE(says(report_of("v3-fp8"), "FP8"));
  EXPECT_FALSE(says(report_of("v3"), "FP8"));
  EXPECT_TRUE(report_of("gguf-qwen2-split").format.contains("2 files"));
}

// V2's files may lack the keys as well; here they go by another name.
TEST(Inspect, SaysThatV2NamesNoGroups) {
  std::ifstream in(kData / "gguf-v2-grouped-unlabelled/model.gguf", std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  for (const std::string_view key : {"expert_group_count", "expert_group_used_count"}) {
    const std::size_t at = bytes.find(key);
    ASSERT_NE(at, std::string::npos);
    bytes[at] = 'x';
  }
  const std::string path = testing::TempDir() + "inspect-groups.gguf";
  std::ofstream(path, std::ios::binary) << bytes;
  const auto report = examine(path);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(says(*report, "taken to be one group"));
  fs::remove(path);
}

// A copy of a golden with another config.json.
TEST(Inspect, ComparesTheConfigurationWithTheTokenizer) {
  std::string folder = testing::TempDir() + "inspect-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  fs::copy(kData / "llama/model", folder, fs::copy_options::recursive);
  auto config = files::read_json(folder + "/config.json");
  ASSERT_TRUE(config);
  const auto before = examine(folder);
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_FALSE(says(*before, "bos_token_id of config.json"));
  (*config)["bos_token_id"] = before->tokenizer->bos ? before->tokenizer->bos->first + 1 : 1;
  std::ofstream(folder + "/config.json") << config->dump();
  const auto after = examine(folder);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_TRUE(says(*after, "bos_token_id of config.json"));

  (*config)["model_type"] = "gemma";
  std::ofstream(folder + "/config.json") << config->dump();
  const auto refused = examine(folder);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("gemma"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace fathom::apps
