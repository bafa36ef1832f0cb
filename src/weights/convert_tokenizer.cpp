#include "weights/convert_tokenizer.h"

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "files/mapped_file.h"
#include "weights/convert_fields.h"

namespace fathom::weights {
namespace {

using base::fail;
using base::Result;
using files::GgufWriter;
using files::Json;

// Values of tokenizer.ggml.token_type.
enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

struct Tokens {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
  std::map<std::string, std::int64_t, std::less<>> added;  // ids by text
};

Result<Json> read_beside(const std::filesystem::path& directory, const char* name) {
  std::error_code error;
  if (!std::filesystem::exists(directory / name, error)) return Json::object();
  return files::read_json((directory / name).string());
}

Result<void> put_token(Tokens& tokens, const std::string& text, const Json& id, TokenType type) {
  const auto count = static_cast<std::int64_t>(tokens.texts.size());
  if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= count)
    return fail("token \"{}\" has the id {}, expected 0 to {} as the embedding has rows", text, id.dump().substr(0, 40),
                count - 1);
  const auto at = id.get<std::size_t>();
  tokens.texts[at] = text;
  tokens.types[at] = type;
  return {};
}

// Added tokens in these brackets steer a model even where the file does not call them special.
bool looks_special(std::string_view text) {
  return (text.starts_with("<|") && text.ends_with("|>")) || (text.starts_with("<｜") && text.ends_with("｜>")) ||
         text == "<pad>";
}

Result<Tokens> read_tokens(const Json& tokenizer, const Json& model, std::int64_t vocabulary) {
  Tokens tokens;
  tokens.texts.resize(static_cast<std::size_t>(vocabulary));
  tokens.types.assign(static_cast<std::size_t>(vocabulary), kUnused);
  for (std::size_t i = 0; i < tokens.texts.size(); ++i) tokens.texts[i] = fmt::format("[PAD{}]", i);
  const Json* words = Fields(model, "model").find("vocab");
  if (words == nullptr || !words->is_object()) return fail("model.vocab is no object of tokens and ids");
  for (const auto& [text, id] : words->items())
    if (auto r = put_token(tokens, text, id, kNormal); !r) return std::unexpected(r.error());
  const Json* added = Fields(tokenizer, "").find("added_tokens");
  if (added == nullptr) return tokens;
  if (!added->is_array()) return fail("added_tokens is no array");
  for (const Json& entry : *added) {
    Fields token(entry, "added_tokens");
    const std::string text = token.text("content");
    const bool control = token.boolean("special", false) || looks_special(text);
    const Json* id = token.find("id");
    if (text.empty() || id == nullptr) return fail("added_tokens: an entry has no content or no id");
    if (auto r = put_token(tokens, text, *id, control ? kControl : kUserDefined); !r) return std::unexpected(r.error());
    tokens.added[text] = id->get<std::int64_t>();
  }
  return tokens;
}

// "left right", from either form of the file.
Result<std::vector<std::string>> read_merges(const Json& model) {
  const Json* merges = Fields(model, "model").find("merges");
  if (merges == nullptr || !merges->is_array()) return fail("model.merges is no array");
  std::vector<std::string> out;
  out.reserve(merges->size());
  for (const Json& merge : *merges) {
    std::string text;
    if (merge.is_string()) {
      text = merge.get<std::string>();
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      text = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    }
    const std::size_t space = text.find(' ');
    if (space == 0 || space + 1 >= text.size() || space == text.npos || text.find(' ', space + 1) != text.npos)
      return fail("model.merges: entry {} is no pair of tokens without spaces", out.size() + 1);
    out.push_back(std::move(text));
  }
  return out;
}

// A token's id by its text, which a configuration gives as a string or as an object with `content`.
std::optional<std::int64_t> named_token(const Fields& config, const char* key, const Tokens& tokens) {
  const Json* value = config.find(key);
  if (value == nullptr) return std::nullopt;
  const std::string text = value->is_string() ? value->get<std::string>() : Fields(*value, key).text("content");
  if (const auto found = tokens.added.find(text); found != tokens.added.end()) return found->second;
  for (std::size_t i = 0; i < tokens.texts.size(); ++i)
    if (tokens.types[i] == kNormal && tokens.texts[i] == text) return static_cast<std::int64_t>(i);
  return std::nullopt;
}

// The token that the post-processor puts before a text, if it does.
std::optional<std::int64_t> leading_token(const Json& value, const Tokens& tokens) {
  Fields step(value, "post_processor");
  if (const Json* steps = step.find("processors"); steps != nullptr && steps->is_array()) {
    for (const Json& inner : *steps)
      if (const auto found = leading_token(inner, tokens)) return found;
    return std::nullopt;
  }
  if (step.text("type") != "TemplateProcessing") return std::nullopt;
  const Json* single = step.find("single");
  if (single == nullptr || !single->is_array() || single->empty()) return std::nullopt;
  const Json* special = Fields(single->front(), "single").find("SpecialToken");
  return special == nullptr ? std::nullopt : named_token(Fields(*special, "SpecialToken"), "id", tokens);
}

// Ids under a key of config.json or generation_config.json, one or several.
std::vector<std::int64_t> ids_of(const Json& config, const char* key, std::int64_t vocabulary) {
  const Json* value = Fields(config, "").find(key);
  std::vector<std::int64_t> ids;
  if (value == nullptr) return ids;
  const auto take = [&](const Json& id) {
    if (id.is_number_integer() && id.get<std::int64_t>() >= 0 && id.get<std::int64_t>() < vocabulary)
      ids.push_back(id.get<std::int64_t>());
  };
  if (value->is_array()) {
    for (const Json& id : *value) take(id);
  } else {
    take(*value);
  }
  return ids;
}

struct Beside {
  Json tokenizer_config, generation_config, config;
};

void set_id(GgufWriter& out, const char* name, std::int64_t id) {
  out.set_u32(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<std::uint32_t>(id));
}

// Which tokens begin, end and fill, and whether a text starts with the first.
void set_ends(const Json& tokenizer, const Beside& beside, const Tokens& tokens, GgufWriter& out) {
  const auto vocabulary = static_cast<std::int64_t>(tokens.texts.size());
  Fields config(beside.tokenizer_config, "tokenizer_config.json");
  const Json* processor = Fields(tokenizer, "").find("post_processor");
  const auto leading = processor != nullptr ? leading_token(*processor, tokens) : std::nullopt;
  auto bos = named_token(config, "bos_token", tokens);
  if (!bos) bos = leading;
  if (bos) set_id(out, "bos", *bos);
  out.set_bool("tokenizer.ggml.add_bos_token", bos && config.boolean("add_bos_token", leading.has_value()));
  if (config.has("add_eos_token")) out.set_bool("tokenizer.ggml.add_eos_token", config.boolean("add_eos_token", false));
  for (const auto& [name, key] : {std::pair{"padding", "pad_token"}, std::pair{"unknown", "unk_token"}})
    if (const auto id = named_token(config, key, tokens)) set_id(out, name, *id);

  // Further ends of a generation go under the two other names there are.
  auto stops = ids_of(beside.generation_config, "eos_token_id", vocabulary);
  auto eos = named_token(config, "eos_token", tokens);
  if (const auto more = ids_of(beside.config, "eos_token_id", vocabulary); !eos && stops.empty()) stops = more;
  if (!eos && !stops.empty()) eos = stops.front();
  if (eos) set_id(out, "eos", *eos);
  std::erase(stops, eos.value_or(-1));
  if (!stops.empty()) set_id(out, "eot", stops[0]);
  if (stops.size() > 1) set_id(out, "eom", stops[1]);
}

// One template, or several with names, of which `default` is for chats; a file of its own comes first.
std::string chat_template(const std::filesystem::path& directory, const Json& config) {
  if (const auto file = files::MappedFile::open((directory / "chat_template.jinja").string()))
    return {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
  const Json* value = Fields(config, "").find("chat_template");
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) return {};
  for (const Json& entry : *value)
    if (Fields(entry, "").text("name") == "default") return Fields(entry, "").text("template");
  return {};
}

Result<void> check_kind(const Json& tokenizer, Fields& model) {
  if (const std::string type = model.text("type", "BPE"); type != "BPE" || model.boolean("byte_fallback", false))
    return fail("its model is not byte-level BPE, the only kind that can be converted");
  const std::string_view name = pre_tokenizer_name(tokenizer);
  if (name.empty())
    return fail(
        "GGUF has no name for its pre_tokenizer (it has for those of deepseek-llm, deepseek-coder, deepseek-v3, qwen2, "
        "llama-bpe, smollm and gpt-2)");
  // Readers know this switch by the name alone.
  const bool ignores = model.boolean("ignore_merges", false);
  if (ignores != (name == "llama-bpe"))
    return fail("its pre_tokenizer is {}'s, but ignore_merges is {}, which GGUF has no word for", name, ignores);
  return model.result();
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

Result<void> set_keys(const Json& tokenizer, const Beside& beside, std::int64_t vocabulary, GgufWriter& out) {
  const Json* model = Fields(tokenizer, "").find("model");
  if (model == nullptr || !model->is_object()) return fail("no model: this is not a tokenizer.json");
  Fields fields(*model, "model");
  if (auto r = check_kind(tokenizer, fields); !r) return r;
  const auto tokens = read_tokens(tokenizer, *model, vocabulary);
  if (!tokens) return std::unexpected(tokens.error());
  const auto merges = read_merges(*model);
  if (!merges) return std::unexpected(merges.error());
  out.set_string("tokenizer.ggml.model", "gpt2");
  out.set_string("tokenizer.ggml.pre", pre_tokenizer_name(tokenizer));
  out.set_strings("tokenizer.ggml.tokens", views(tokens->texts));
  out.set_i32s("tokenizer.ggml.token_type", tokens->types);
  out.set_strings("tokenizer.ggml.merges", views(*merges));
  set_ends(tokenizer, beside, *tokens, out);
  return {};
}

}  // namespace

Result<void> set_tokenizer_keys(const std::string& directory, std::int64_t vocabulary, GgufWriter& out) {
  const std::filesystem::path folder(directory);
  const std::string path = (folder / "tokenizer.json").string();
  const auto tokenizer = files::read_json(path);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  Beside beside;
  for (const auto& [name, to] :
       {std::pair{"tokenizer_config.json", &beside.tokenizer_config},
        std::pair{"generation_config.json", &beside.generation_config}, std::pair{"config.json", &beside.config}}) {
    auto read = read_beside(folder, name);
    if (!read) return std::unexpected(read.error());
    *to = std::move(*read);
  }
  if (auto r = set_keys(*tokenizer, beside, vocabulary, out); !r) return base::fail_with(path, r.error());
  const std::string text = chat_template(folder, beside.tokenizer_config);
  if (!text.empty()) out.set_string("tokenizer.chat_template", text);
  return {};
}

}  // namespace fathom::weights
