// Names of the hub, its listing of a repository, and which files of it make up a model. No network: see tests/e2e.
#include "files/hub.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "files/digest.h"
#include "files/http.h"
#include "temporary_folder.h"

namespace fathom::files {
namespace {

TEST(HubName, ReadsEveryForm) {
  const auto plain = parse_hub_name("hf:deepseek-ai/DeepSeek-V2-Lite-Chat");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->owner, "deepseek-ai");
  EXPECT_EQ(plain->repo, "DeepSeek-V2-Lite-Chat");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(plain->choice, "");
  EXPECT_EQ(plain->text(), "hf:deepseek-ai/DeepSeek-V2-Lite-Chat");
  const auto full = parse_hub_name("hf:a/b@refs/pr/3:Q4_K_M/x-00001-of-00002.gguf");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->revision, "refs/pr/3");
  EXPECT_EQ(full->choice, "Q4_K_M/x-00001-of-00002.gguf");
  EXPECT_EQ(full->text(), "hf:a/b@refs/pr/3:Q4_K_M/x-00001-of-00002.gguf");
}

TEST(HubName, RefusesWhatCouldWalkOrMislead) {
  for (const std::string_view bad : {"hf:",
                                     "hf:a",
                                     "hf:/b",
                                     "hf:a/",
                                     "hf:a/b/c",
                                     "hf:../b",
                                     "hf:a/..",
                                     "hf:a/b@",
                                     "hf:a/b@../x",
                                     "hf:a/b@/x",
                                     "hf:a/b:",
                                     "hf:a/b:../c",
                                     "hf:a/b:/etc/passwd",
                                     "hf:a/b:x//y",
                                     "hf:a b/c",
                                     "hf:a/b?c",
                                     "hf:a/b#c",
                                     "hf:a/b%2e",
                                     "hf:a\\b/c",
                                     "hf:-a/b",
                                     "hf:a--b/c",
                                     "hf:a/b.",
                                     "hf:http://x/y",
                                     "hf:a/b\n",
                                     "hf:a/b@x y\t"}) {
    EXPECT_FALSE(parse_hub_name(bad)) << bad;
  }
  EXPECT_FALSE(parse_hub_name("hf:" + std::string(97, 'a') + "/b"));
}

const std::string kCommit(40, 'c'), kSha(64, 'a'), kBlob(40, 'b');

std::string lfs(std::string_view path, std::uint64_t size = 10) {
  return fmt::format(
      R"({{"rfilename":"{}","size":{},"blobId":"{}","lfs":{{"sha256":"{}","size":{},"pointerSize":1}}}})", path, size,
      kBlob, kSha, size);
}
std::string small(std::string_view path) {
  return fmt::format(R"({{"rfilename":"{}","size":3,"blobId":"{}"}})", path, kBlob);
}
std::string listing(const std::vector<std::string>& entries) {
  return fmt::format(R"({{"sha":"{}","siblings":[{}]}})", kCommit, fmt::join(entries, ","));
}

TEST(HubListing, TakesDigestsOfBothKinds) {
  const auto read = parse_listing(listing({lfs("m.gguf", 7), small("config.json"), small(".gitattributes")}), {});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->commit, kCommit);
  ASSERT_EQ(read->files.size(), 2u);  // what has no plain name is none of ours
  EXPECT_EQ(read->files[0].digest.hex, kSha);
  EXPECT_EQ(read->files[0].bytes(), 7u);
  EXPECT_FALSE(read->files[0].digest.is_git());
  EXPECT_EQ(read->files[1].digest.hex, kBlob);
  EXPECT_TRUE(read->files[1].digest.is_git());
}

TEST(HubListing, RefusesWhatTheHubWouldNotSay) {
  for (const auto& bad : {std::string("[]"), std::string("{}"), std::string("not json"),
                          fmt::format(R"({{"sha":"{}"}})", kCommit), std::string(R"({"sha":"../..","siblings":[]})"),
                          listing({lfs("../m.gguf")}), listing({lfs("/etc/m.gguf")}), listing({lfs("a/../../m.gguf")}),
                          listing({R"({"size":3})"}), listing({"7"}), listing({R"({"rfilename":"a.gguf","size":3})"}),
                          listing({R"({"rfilename":"a.gguf","size":3,"lfs":{"sha256":"XYZ"}})"})}) {
    EXPECT_FALSE(parse_listing(bad, {})) << bad;
  }
  EXPECT_TRUE(parse_listing(listing({}), {}));
}

std::string chosen(const std::vector<std::string>& paths, const std::string& choice = "") {
  std::vector<std::string> entries;
  for (const auto& path : paths) entries.push_back(lfs(path));
  const auto read = parse_listing(listing(entries), {});
  if (!read) return read.error().message;
  const auto files = choose_files(*read, {.owner = "o", .repo = "r", .choice = choice});
  if (!files) return "refused: " + files.error().message;
  std::string out;
  for (const auto& file : *files) out += file.path + " ";
  return out;
}

TEST(ChooseFiles, AQuantOrAFile) {
  const std::vector<std::string> repo{"m-Q4_K_M.gguf",   "m-Q8_0.gguf",    "m-UD-Q4_K_M.gguf",
                                      "mmproj-F16.gguf", "m.imatrix.gguf", "README.md"};
  EXPECT_EQ(chosen(repo), "m-Q4_K_M.gguf ");
  EXPECT_EQ(chosen(repo, "Q8_0"), "m-Q8_0.gguf ");
  EXPECT_EQ(chosen(repo, "q8_0"), "m-Q8_0.gguf ");
  EXPECT_EQ(chosen(repo, "UD-Q4_K_M"), "m-UD-Q4_K_M.gguf ");
  EXPECT_EQ(chosen(repo, "m-Q8_0.gguf"), "m-Q8_0.gguf ");
  EXPECT_EQ(chosen(repo, "Q2_K"), "refused: 'o/r': no file or quant 'Q2_K'; there are: Q4_K_M, Q8_0, UD-Q4_K_M");
  EXPECT_EQ(chosen({"only.gguf"}), "only.gguf ");
  EXPECT_EQ(chosen({"README.md"}), "refused: 'o/r': holds neither safetensors nor GGUF files");
  EXPECT_NE(chosen({"a-IQ1_S.gguf", "b-IQ1_M.gguf"}).find("choose one with hf:o/r:QUANT; there are: IQ1_M, IQ1_S"),
            std::string::npos);
  EXPECT_NE(chosen({"x/a-Q8_0.gguf", "y/b-Q8_0.gguf"}, "Q8_0").find("2 models are Q8_0"), std::string::npos);
}

TEST(ChooseFiles, ASetIsWholeOrRefused) {
  const std::vector<std::string> parts{"Q4_K_M/m-Q4_K_M-00002-of-00002.gguf", "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf"};
  const std::string both = "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf Q4_K_M/m-Q4_K_M-00002-of-00002.gguf ";
  EXPECT_EQ(chosen(parts), both);
  EXPECT_EQ(chosen(parts, "Q4_K_M"), both);
  EXPECT_EQ(chosen(parts, parts[0]), both);
  EXPECT_NE(chosen({parts[0]}).find("the hub has 1 of the 2 parts"), std::string::npos);
}

TEST(ChooseFiles, SafetensorsWithWhatStandsBeside) {
  EXPECT_EQ(
      chosen({"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
              "model.safetensors.index.json", "consolidated.safetensors", "tokenizer.json", "figures/a.png",
              "inference/model.py", "onnx/model.safetensors", "chat_template.jinja", "pytorch_model.bin"}),
      "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json "
      "tokenizer.json chat_template.jinja ");
  EXPECT_EQ(chosen({"config.json", "model.safetensors", "other.safetensors"}), "config.json model.safetensors ");
}

TEST(QuantOf, FindsTheQuantInAName) {
  EXPECT_EQ(quant_of("DeepSeek-V3-Q4_K_M-00001-of-00009.gguf"), "Q4_K_M");
  EXPECT_EQ(quant_of("DeepSeek-V2-Lite.Q4_K_M.gguf"), "Q4_K_M");
  EXPECT_EQ(quant_of("x-UD-Q2_K_XL.gguf"), "UD-Q2_K_XL");
  EXPECT_EQ(quant_of("x-iq4_xs.gguf"), "IQ4_XS");
  EXPECT_EQ(quant_of("DeepSeek-R1-Distill-Qwen-7B-f16.gguf"), "F16");
  EXPECT_EQ(quant_of("x-MXFP4.gguf"), "MXFP4");
  EXPECT_EQ(quant_of("DeepSeek-R1-Distill-Qwen-7B.gguf"), "");
  EXPECT_EQ(quant_of("Qwen.gguf"), "");
}

TEST(FileUrl, EscapesWhatAUrlWouldRead) {
  const HubAccess access{.endpoint = "https://hub.example"};
  EXPECT_EQ(file_url(access, {.owner = "o", .repo = "r"}, kCommit, "a b/c+d.gguf"),
            "https://hub.example/o/r/resolve/" + kCommit + "/a%20b/c%2Bd.gguf");
}

TEST(Origins, DecideWhereATokenGoes) {
  EXPECT_TRUE(same_origin("https://a.example/x", "https://A.example:443/y?z"));
  EXPECT_FALSE(same_origin("https://a.example", "https://b.example"));
  EXPECT_FALSE(same_origin("https://a.example", "http://a.example"));
  EXPECT_FALSE(same_origin("https://a.example", "https://a.example:444"));
  EXPECT_FALSE(same_origin("https://a.example", "https://a.example.evil.example"));
  EXPECT_TRUE(is_private_enough("https://hub.example"));
  EXPECT_TRUE(is_private_enough("http://127.0.0.1:8000"));
  EXPECT_TRUE(is_private_enough("http://localhost"));
  EXPECT_FALSE(is_private_enough("http://hub.example"));
  EXPECT_FALSE(is_private_enough("http://127.0.0.1.evil.example"));
}

TEST(HubAccess, ReadsTheEnvironment) {
  ::setenv("HF_ENDPOINT", "http://mirror.example/", 1);
  ::setenv("HF_TOKEN", "secret", 1);
  EXPECT_FALSE(HubAccess::from_environment());  // the token would go in the clear
  ::unsetenv("HF_TOKEN");
  ASSERT_TRUE(HubAccess::from_environment());
  EXPECT_EQ(HubAccess::from_environment()->endpoint, "http://mirror.example");
  ::setenv("HF_ENDPOINT", "ftp://mirror.example", 1);
  EXPECT_FALSE(HubAccess::from_environment());
  ::unsetenv("HF_ENDPOINT");
  ::setenv("HF_TOKEN", "line\nbreak", 1);
  EXPECT_FALSE(HubAccess::from_environment());
  ::unsetenv("HF_TOKEN");
  EXPECT_EQ(HubAccess::from_environment()->endpoint, "https://huggingface.co");
}

TEST(Digest, AgreesWithKnownValues) {
  const auto digest_of = [](std::string_view text, std::size_t length) {
    Digest digest({.hex = std::string(length, '0'), .bytes = text.size()});
    digest.add(std::as_bytes(std::span(text)));
    return digest.hex();
  };
  // FIPS 180-4's example, and `printf 'hello\n' | git hash-object --stdin`.
  EXPECT_EQ(digest_of("abc", 64), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of("hello\n", 40), "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(Digest, ChecksFiles) {
  const TemporaryFolder folder;
  const auto path = folder.write("f", "hello\n");
  const ExpectedDigest right{.hex = "ce013625030ba8dba906f756967f9e9ca394464a", .bytes = 6};
  EXPECT_EQ(file_matches(path, right, {}).value(), true);
  EXPECT_EQ(file_matches(folder.write("g", "hellO\n"), right, {}).value(), false);
  EXPECT_EQ(file_matches(folder.write("h", "hello"), right, {}).value(), false);
  EXPECT_FALSE(file_matches(folder / "absent", right, {}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(file_matches(path, right, stop.get_token()));
}

}  // namespace
}  // namespace fathom::files
