// Runs the cases that the scripts in tests/golden/tokens generate, so that their answers can be held against the
// reference libraries'. Without the environment variables that name the files, there is nothing to do.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "files/json.h"
#include "tokens/chat_template.h"
#include "tokens/tokenizer.h"

namespace fathom::tokens {
namespace {

using files::Json;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Json read(const std::string& path) {
  auto json = files::read_json(path, {.bytes = std::size_t{1} << 30});
  EXPECT_TRUE(json) << json.error().message;
  return json ? *json : Json();
}

void write(const std::string& path, const Json& json) {
  std::ofstream(path) << json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

// {"texts": [...], "control": bool} to {"ids": [[...]], "texts": [decoded], "streams": [decoded token by token]}
TEST(GoldenDriver, Tokenize) {
  const std::string model = variable("FATHOM_GOLDEN_MODEL"), in = variable("FATHOM_GOLDEN_TEXTS");
  if (model.empty() || in.empty()) GTEST_SKIP() << "run by tests/golden/tokens/compare_with_tokenizers.py";
  std::optional<files::Gguf> gguf;
  base::Result<Tokenizer> tokenizer = base::fail("not read");
  if (std::filesystem::is_directory(model)) {
    tokenizer = Tokenizer::from_directory(model);
  } else {
    auto file = files::Gguf::open(model);
    ASSERT_TRUE(file) << file.error().message;
    gguf.emplace(std::move(*file));
    tokenizer = Tokenizer::from_gguf(*gguf);
  }
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const Json cases = read(in);
  Json out = {{"ids", Json::array()}, {"texts", Json::array()}, {"streams", Json::array()}};
  for (const Json& text : cases["texts"]) {
    const auto ids = tokenizer->encode(text.get<std::string>(), cases["control"].get<bool>());
    out["ids"].push_back(ids);
    out["texts"].push_back(tokenizer->decode(ids, true));
    Detokenizer detokenizer(*tokenizer, true);
    std::string stream;
    for (const TokenId id : ids) stream += detokenizer.push(id);
    out["streams"].push_back(stream + detokenizer.flush());
  }
  write(variable("FATHOM_GOLDEN_OUT"), out);
}

// [{"template", "bos", "eos", "messages", "tools", "extra", "generation_prompt"}] to
// [{"text", "fixed": what the template wrote} or {"error"}]
TEST(GoldenDriver, Render) {
  const std::string in = variable("FATHOM_GOLDEN_TEMPLATES");
  if (in.empty()) GTEST_SKIP() << "run by tests/golden/tokens/compare_templates.py";
  Json out = Json::array();
  for (const Json& c : read(in)) {
    auto parsed = ChatTemplate::from_jinja(c["template"].get<std::string>(), c["bos"].get<std::string>(),
                                           c["eos"].get<std::string>());
    if (!parsed) {
      out.push_back({{"error", parsed.error().message}});
      continue;
    }
    const auto messages = messages_from_json(c["messages"]);
    ASSERT_TRUE(messages) << messages.error().message;
    const auto rendered = parsed->render(
        *messages, {.generation_prompt = c["generation_prompt"].get<bool>(), .tools = c["tools"], .extra = c["extra"]});
    if (!rendered) {
      out.push_back({{"error", rendered.error().message}});
      continue;
    }
    std::string fixed;
    for (const PromptPiece& piece : rendered->prompt) {
      if (piece.trusted) fixed += piece.text;
    }
    out.push_back({{"text", prompt_text(rendered->prompt)}, {"fixed", fixed}});
  }
  write(variable("FATHOM_GOLDEN_OUT"), out);
}

}  // namespace
}  // namespace fathom::tokens
