// Names to paths: the catalogue, the store, and what other programs hold.
#include "files/model_store.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "files/folder_lock.h"
#include "files/size_text.h"
#include "temporary_folder.h"

namespace fathom::files {
namespace {

TEST(Catalog, IsWholeAndConsistent) {
  const auto entries = catalog();
  EXPECT_EQ(entries.size(), 15u);
  int defaults = 0;
  for (const auto& entry : entries) {
    EXPECT_TRUE(entry.hub_name("")) << entry.name;
    EXPECT_TRUE(entry.hub_name("safetensors")) << entry.name;
    defaults += entry.is_default ? 1 : 0;
  }
  EXPECT_EQ(defaults, 1);
  const auto* r1 = find_in_catalog("r1-distill-qwen-7b");
  ASSERT_NE(r1, nullptr);
  EXPECT_EQ(r1->hub_name("")->text(), "hf:bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF:Q4_K_M");
  EXPECT_EQ(r1->hub_name("Q8_0")->text(), "hf:bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF:Q8_0");
  EXPECT_EQ(r1->hub_name("safetensors")->text(), "hf:deepseek-ai/DeepSeek-R1-Distill-Qwen-7B");
  EXPECT_EQ(find_in_catalog("R1"), nullptr);
}

TEST(Catalog, SaysWhatIsWrong) {
  const auto refusal = [](std::string_view text) {
    const auto read = parse_catalog(text);
    return read ? "accepted" : read.error().message;
  };
  EXPECT_NE(refusal("[[model").find("line 1"), std::string::npos);
  EXPECT_NE(refusal("").find("[[model]]"), std::string::npos);
  EXPECT_NE(refusal("[[model]]\nname='../x'").find("'../x'"), std::string::npos);
  const std::string good =
      "[[model]]\nname='x'\nabout='a'\nlicence='MIT'\nparameters='1B'\nbytes=1\nmemory=2\ncontext=3\nsafetensors='o/"
      "r'\n";
  EXPECT_EQ(refusal(good), "accepted");
  EXPECT_NE(refusal(good + good).find("twice"), std::string::npos);
  EXPECT_NE(refusal(good + "quant='Q8_0'").find("go together"), std::string::npos);
  EXPECT_NE(refusal("[[model]]\nname='x'\nabout='a'\nlicence='MIT'\nparameters='1B'\nbytes=1\nmemory=2\ncontext=3\n")
                .find("no repository"),
            std::string::npos);
}

TEST(NearestName, FindsSlipsOfTheHand) {
  const std::vector<std::string> names{"smollm2-135m", "r1-distill-qwen-7b", "v3", "r1"};
  EXPECT_EQ(nearest_name("smolm2-135m", names), "smollm2-135m");
  EXPECT_EQ(nearest_name("smollm2-153m", names), "smollm2-135m");
  EXPECT_EQ(nearest_name("r1-distil-qwen-7b", names), "r1-distill-qwen-7b");
  EXPECT_EQ(nearest_name("v4", names), "v3");
  EXPECT_EQ(nearest_name("llama", names), std::nullopt);
  EXPECT_EQ(nearest_name("", names), std::nullopt);
}

TEST(SizeText, ReadsAsPeopleWrite) {
  EXPECT_EQ(size_text(999), "999 bytes");
  EXPECT_EQ(size_text(98'362'432), "98.4 MB");
  EXPECT_EQ(size_text(999'960), "1.0 MB");
  EXPECT_EQ(size_text(404'000'000'000), "404 GB");
}

class Store : public testing::Test {
 protected:
  Store()
      : store_({.data = folder_ / "data",
                .hugging_face = folder_ / "hf",
                .ollama = folder_ / "ollama",
                .lm_studio = {folder_ / "lms"}}) {}

  std::string in_store(std::string_view name, std::string_view text = "GGUF") {
    return folder_.write("data/models/" + std::string(name), text);
  }
  std::string refusal(const std::string& model) {
    const auto path = store_.resolve(model);
    return path ? "accepted" : path.error().message;
  }

  TemporaryFolder folder_;
  ModelStore store_;
};

TEST_F(Store, ResolvesNamesOfTheCatalogue) {
  EXPECT_EQ(refusal("smollm2-135m"),
            "smollm2-135m is not on this machine: `./run` (or scripts/fetch_default_model.sh) fetches it");
  EXPECT_EQ(store_.pull("smollm2-135m", {}).error().message,
            "smollm2-135m does not come from the hub: `./run` (or scripts/fetch_default_model.sh) fetches it");
  EXPECT_EQ(refusal("r1-distill-qwen-7b"),
            "r1-distill-qwen-7b is not on this machine: `fathom pull r1-distill-qwen-7b` gets it (4.7 GB)");
  const auto small = in_store("smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(store_.resolve("smollm2-135m").value(), small);
  const auto eight = in_store("r1-distill-qwen-7b--Q8_0/m-Q8_0.gguf");
  EXPECT_EQ(store_.resolve("r1-distill-qwen-7b:Q8_0").value(), eight);
  EXPECT_EQ(store_.resolve("r1-distill-qwen-7b:q8_0").value(), eight);
  EXPECT_NE(refusal("r1-distill-qwen-7b"), "accepted");
  // The default quant by its name is the default.
  const auto four = in_store("r1-distill-qwen-7b/m-Q4_K_M.gguf");
  EXPECT_EQ(store_.resolve("r1-distill-qwen-7b:Q4_K_M").value(), four);
  EXPECT_EQ(store_.resolve("r1-distill-qwen-7b:q4_k_m").value(), four);
  const auto hub = in_store("o--r=Q8_0/m-Q8_0.gguf");
  EXPECT_EQ(store_.resolve("hf:o/r:q8_0").value(), hub);
}

TEST_F(Store, SuggestsTheNearName) {
  EXPECT_EQ(refusal("smolm2-135m"), "'smolm2-135m': no such model; did you mean 'smollm2-135m'?");
  in_store("my-own-model/x.gguf");
  EXPECT_NE(refusal("my-own-modle").find("did you mean 'my-own-model'"), std::string::npos);
  EXPECT_NE(refusal("nothing-like-it").find("`fathom list` names the models"), std::string::npos);
}

TEST_F(Store, ResolvesPaths) {
  const auto file = folder_.write("x.gguf", "GGUF");
  EXPECT_EQ(store_.resolve(file).value(), file);
  folder_.write("hf-model/config.json", "{}");
  folder_.write("hf-model/extra.gguf", "GGUF");
  EXPECT_EQ(store_.resolve(folder_ / "hf-model").value(), folder_ / "hf-model");
  EXPECT_EQ(refusal(folder_.path().string() + "/"), folder_.path().string() + "/: holds 'x.gguf': name that file");
  EXPECT_EQ(refusal("./absent.gguf"), "./absent.gguf: there is no such file or folder");
  EXPECT_EQ(refusal("deepseek-ai/DeepSeek-V3"),
            "deepseek-ai/DeepSeek-V3: there is no such file or folder; for the hub's write hf:deepseek-ai/DeepSeek-V3");
  EXPECT_NE(refusal("hf:../../etc").find("expected hf:owner/repo"), std::string::npos);
}

TEST_F(Store, ResolvesFoldersOfTheStore) {
  const auto path = in_store("mine/x.gguf");
  EXPECT_EQ(store_.resolve("mine").value(), path);
  in_store("empty/notes.txt");
  EXPECT_NE(refusal("empty").find("holds no whole model"), std::string::npos);
}

TEST_F(Store, WhatIsHereInPartIsNotTaken) {
  in_store("o--r/m-00001-of-00002.gguf");
  EXPECT_EQ(refusal("hf:o/r"), "hf:o/r is here only in part: `fathom pull hf:o/r` gets the rest");
  const auto first = in_store("o--r/m-00001-of-00002.gguf");
  in_store("o--r/m-00002-of-00002.gguf");
  EXPECT_EQ(store_.resolve("hf:o/r").value(), first);

  in_store("o--s/config.json", "{}");
  in_store("o--s/model-00001-of-00002.safetensors");
  EXPECT_NE(refusal("hf:o/s").find("in part"), std::string::npos);
  in_store("o--s/model-00002-of-00002.safetensors");
  EXPECT_EQ(store_.resolve("hf:o/s").value(), folder_ / "data/models/o--s");
}

TEST_F(Store, FindsWhatHuggingFaceHolds) {
  const std::string commit(40, 'c');
  const std::string cache = "hf/models--o--r/";
  folder_.write(cache + "refs/main", commit);
  folder_.write(cache + "blobs/b1", "weights");
  folder_.write(cache + "snapshots/" + commit + "/config.json", "{}");
  std::filesystem::create_symlink("../../blobs/b1", folder_ / (cache + "snapshots/" + commit + "/model.safetensors"));
  EXPECT_EQ(store_.resolve("hf:o/r").value(), folder_ / (cache + "snapshots/" + commit));
  EXPECT_EQ(store_.resolve("hf:o/r@" + commit).value(), folder_ / (cache + "snapshots/" + commit));
  EXPECT_NE(refusal("hf:o/r@v2"), "accepted");
  const auto models = store_.list();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].name, "hf:o/r");
  EXPECT_EQ(models[0].holder, "Hugging Face");
  EXPECT_EQ(models[0].bytes, 9u);
  // A commit that walks is no commit.
  folder_.write(cache + "refs/main", "../../../../etc");
  EXPECT_NE(refusal("hf:o/r"), "accepted");
}

TEST_F(Store, FindsWhatOllamaHolds) {
  const std::string digest(64, 'd');
  const auto manifest = [&](std::string_view hex, std::uint64_t size) {
    return fmt::format(
        R"({{"layers":[{{"mediaType":"application/vnd.ollama.image.license","digest":"sha256:{}","size":1}},)"
        R"({{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{}","size":{}}}]}})",
        std::string(64, 'e'), hex, size);
  };
  const std::string place = "ollama/manifests/registry.ollama.ai/library/deepseek-r1/7b";
  const auto blob = folder_.write("ollama/blobs/sha256-" + digest, "GGUF....");
  folder_.write(place, manifest(digest, 8));
  EXPECT_EQ(store_.resolve("r1-distill-qwen-7b").value(), blob);
  EXPECT_NE(refusal("r1-distill-qwen-7b:Q8_0"), "accepted");
  const auto models = store_.list();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].holder, "Ollama");
  EXPECT_EQ(models[0].name, "ollama:deepseek-r1:7b");
  EXPECT_EQ(models[0].path, blob);
  EXPECT_EQ(store_.resolve(models[0].name).value(), blob);
  EXPECT_NE(refusal("ollama:deepseek-r1:8b").find("Ollama holds no such model"), std::string::npos);
  EXPECT_EQ(store_.pull("r1-distill-qwen-7b", {.access = {.endpoint = "http://127.0.0.1:1", .attempts = 1}}).value(),
            blob);
  folder_.write(place, manifest(digest, 9));  // the blob is not whole
  EXPECT_NE(refusal("r1-distill-qwen-7b"), "accepted");
  folder_.write(place, manifest("../../../../etc/passwd", 8));
  EXPECT_NE(refusal("r1-distill-qwen-7b"), "accepted");
  folder_.write(place, "not json");
  EXPECT_NE(refusal("r1-distill-qwen-7b"), "accepted");
}

TEST_F(Store, FindsWhatLmStudioHolds) {
  const auto path = folder_.write("lms/bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF/m-Q4_K_M.gguf", "GGUF");
  EXPECT_EQ(store_.resolve("r1-distill-qwen-7b").value(), path);
  EXPECT_EQ(store_.resolve("hf:bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF").value(), path);
  EXPECT_EQ(store_.pull("r1-distill-qwen-7b", {.access = {.endpoint = "http://127.0.0.1:1", .attempts = 1}}).value(),
            path);
  EXPECT_NE(refusal("r1-distill-qwen-7b:Q8_0"), "accepted");
  ASSERT_EQ(store_.list().size(), 1u);
  EXPECT_EQ(store_.list()[0].holder, "LM Studio");
}

TEST_F(Store, ListsAndRemoves) {
  in_store("smollm2-135m/a.gguf", "12345");
  in_store("o--r=Q8_0/b-Q8_0.gguf", "123");
  in_store("o--r=Q8_0/fathom.json", R"({"name":"hf:o/r:Q8_0"})");
  in_store("liar/c.gguf");
  in_store("liar/fathom.json", R"({"name":"hf:o/other"})");
  in_store("begun/.x.part");
  const auto models = store_.list();
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].name, "liar");  // a record that does not fit its folder is not believed
  EXPECT_EQ(models[1].name, "hf:o/r:Q8_0");
  EXPECT_EQ(models[2].name, "smollm2-135m");
  EXPECT_EQ(models[2].bytes, 5u);

  EXPECT_EQ(store_.remove("smollm2-135m").value(), 5u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data/models/smollm2-135m"));
  EXPECT_EQ(store_.list().size(), 2u);
  EXPECT_FALSE(store_.remove("smollm2-135m"));
  EXPECT_TRUE(store_.remove("hf:o/r:Q8_0"));
  EXPECT_TRUE(store_.remove("begun"));
}

TEST_F(Store, RemovesOnlyWhatIsItsOwn) {
  const auto outside = folder_.write("outside/x.gguf", "GGUF");
  std::filesystem::create_directories(folder_ / "data/models");
  std::filesystem::create_directory_symlink(folder_ / "outside", folder_ / "data/models/link");
  for (const auto& name : {std::string("link"), std::string("../../outside"), folder_ / "outside", std::string(".."),
                           std::string("."), std::string("")}) {
    EXPECT_FALSE(store_.remove(name)) << name;
  }
  EXPECT_TRUE(std::filesystem::exists(outside));
  const auto held = folder_.write("lms/o/r/x.gguf", "GGUF");
  const auto refused = store_.remove("hf:o/r");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("remove it with the program that holds it"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(held));
}

TEST_F(Store, DoesNotRemoveWhatIsBeingPulled) {
  in_store("mine/x.gguf");
  {
    const auto lock = FolderLock::try_lock(folder_ / "data/models/mine");
    ASSERT_TRUE(lock && *lock);
    EXPECT_FALSE(FolderLock::try_lock(folder_ / "data/models/mine")->has_value());
    const auto refused = store_.remove("mine");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("being pulled"), std::string::npos);
  }
  EXPECT_TRUE(store_.remove("mine"));
}

TEST_F(Store, HasADefault) {
  EXPECT_FALSE(store_.default_model());
  const auto mine = in_store("mine/x.gguf");
  EXPECT_EQ(store_.default_model().value(), mine);
  const auto small = in_store("smollm2-135m/a.gguf");
  EXPECT_EQ(store_.default_model().value(), small);
}

TEST_F(Store, FindsFilesOfTheHubByDigest) {
  const HubName name{.owner = "o", .repo = "r"};
  const HubFile file{.path = "m.gguf", .digest = {.hex = std::string(64, 'a'), .bytes = 4}};
  EXPECT_EQ(find_file_with_others(store_.places(), name, file), "");
  const auto studio = folder_.write("lms/o/r/m.gguf", "GGUF");
  EXPECT_EQ(find_file_with_others(store_.places(), name, file), studio);
  const auto ollama = folder_.write("ollama/blobs/sha256-" + file.digest.hex, "GGUF");
  EXPECT_EQ(find_file_with_others(store_.places(), name, file), ollama);
  const auto cache = folder_.write("hf/models--o--r/blobs/" + file.digest.hex, "GGUF");
  EXPECT_EQ(find_file_with_others(store_.places(), name, file), cache);
}

class Environment : public testing::Test {
 protected:
  static constexpr const char* kNames[] = {"HOME",    "XDG_DATA_HOME", "XDG_CACHE_HOME",
                                           "HF_HOME", "HF_HUB_CACHE",  "OLLAMA_MODELS"};
  void SetUp() override {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      before_.push_back(value == nullptr ? std::optional<std::string>() : value);
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
      if (before_[i]) {
        ::setenv(kNames[i], before_[i]->c_str(), 1);
      } else {
        ::unsetenv(kNames[i]);
      }
    }
  }
  std::vector<std::optional<std::string>> before_;
};

TEST_F(Environment, SaysWhereThingsAre) {
  EXPECT_FALSE(Places::from_environment());
  ::setenv("HOME", "/h", 1);
  auto places = Places::from_environment();
  ASSERT_TRUE(places);
  EXPECT_EQ(places->models(), "/h/.local/share/fathom/models");
  EXPECT_EQ(places->hugging_face, "/h/.cache/huggingface/hub");
  EXPECT_EQ(places->ollama, "/h/.ollama/models");
  EXPECT_EQ(places->lm_studio, (std::vector<std::string>{"/h/.lmstudio/models", "/h/.cache/lm-studio/models"}));
  ::setenv("XDG_DATA_HOME", "relative", 1);  // as if it were not set
  EXPECT_EQ(Places::from_environment()->data, "/h/.local/share/fathom");
  ::setenv("XDG_DATA_HOME", "/d", 1);
  ::setenv("XDG_CACHE_HOME", "/c", 1);
  ::setenv("OLLAMA_MODELS", "/o", 1);
  places = Places::from_environment();
  EXPECT_EQ(places->data, "/d/fathom");
  EXPECT_EQ(places->hugging_face, "/c/huggingface/hub");
  EXPECT_EQ(places->ollama, "/o");
  ::setenv("HF_HOME", "/f", 1);
  EXPECT_EQ(Places::from_environment()->hugging_face, "/f/hub");
  ::setenv("HF_HUB_CACHE", "/g", 1);
  EXPECT_EQ(Places::from_environment()->hugging_face, "/g");
}

}  // namespace
}  // namespace fathom::files
