// Reads Hugging Face's tokenizer.json and, beside it, tokenizer_config.json, generation_config.json and
// chat_template.jinja. What it cannot follow exactly it refuses by name.
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "files/in_quotes.h"
#include "files/json.h"
#include "files/mapped_file.h"
#include "tokens/pre_tokenizer_table.h"
#include "tokens/tokenizer.h"
#include "tokens/tokenizer_impl.h"
#include "tokens/tokenizer_parts.h"

namespace fathom::tokens {
namespace {

using files::Json;

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string string_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

bool flag_of(const Json& object, const char* name, bool absent) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : absent;
}

base::Result<TokenId> id_of(const Json& value, std::string_view what) {
  if (value.is_number_integer()) {
    const auto id = value.get<std::int64_t>();
    if (id >= 0 && id <= INT32_MAX) return static_cast<TokenId>(id);
  }
  return base::fail("{}: the id is {}, expected an integer from 0", what, value.dump().substr(0, 40));
}

// Items of a Sequence, or the value itself as the only one.
std::vector<const Json*> sequence_of(const Json* value, const char* items) {
  std::vector<const Json*> out;
  if (value == nullptr) return out;
  const Json* list = string_of(*value, "type") == "Sequence" ? member(*value, items) : nullptr;
  if (list == nullptr) return {value};
  for (const Json& item : *list) {
    for (const Json* inner : sequence_of(&item, items)) out.push_back(inner);
  }
  return out;
}

base::Result<void> read_normalizer(const Json& file, TokenizerParts& parts) {
  for (const Json* step : sequence_of(member(file, "normalizer"), "normalizers")) {
    const std::string type = string_of(*step, "type");
    if (type == "NFC") {
      parts.normalizer.add(NormalForm::kNfc);
    } else if (type == "NFD") {
      parts.normalizer.add(NormalForm::kNfd);
    } else if (type == "NFKC") {
      parts.normalizer.add(NormalForm::kNfkc);
    } else if (type == "NFKD") {
      parts.normalizer.add(NormalForm::kNfkd);
    } else if (type != "Sequence") {
      return base::fail("normalizer '{}' is not supported, only NFC, NFD, NFKC and NFKD", type);
    }
  }
  return {};
}

base::Result<SplitBehavior> behavior_of(const Json& step) {
  const std::string name = string_of(step, "behavior");
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return base::fail("pre_tokenizer Split: behavior '{}' is not known", name);
}

base::Result<void> read_split(const Json& step, PreTokenizer& out) {
  const auto behavior = behavior_of(step);
  if (!behavior) return std::unexpected(behavior.error());
  const bool invert = flag_of(step, "invert", false);
  const Json* pattern = member(step, "pattern");
  if (pattern == nullptr) return base::fail("pre_tokenizer Split has no pattern");
  if (const Json* text = member(*pattern, "String"); text != nullptr && text->is_string()) {
    return out.add_literal_split(text->get<std::string>(), *behavior, invert);
  }
  const Json* regex = member(*pattern, "Regex");
  if (regex == nullptr || !regex->is_string())
    return base::fail("pre_tokenizer Split: its pattern is no Regex and no String");
  return out.add_split(regex->get<std::string>(), *behavior, invert);
}

base::Result<void> read_pre_tokenizer(const Json& file, TokenizerParts& parts) {
  bool byte_level = false;
  for (const Json* step : sequence_of(member(file, "pre_tokenizer"), "pretokenizers")) {
    const std::string type = string_of(*step, "type");
    base::Result<void> added;
    if (byte_level) return base::fail("pre_tokenizer: {} after ByteLevel is not supported", type);
    if (type == "Split") {
      added = read_split(*step, parts.pre_tokenizer);
    } else if (type == "Digits") {
      added = parts.pre_tokenizer.add_split(flag_of(*step, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
    } else if (type == "ByteLevel") {
      byte_level = true;
      if (flag_of(*step, "add_prefix_space", true)) parts.pre_tokenizer.add_prefix_space();
      if (flag_of(*step, "use_regex", true)) added = parts.pre_tokenizer.add_split(kGpt2Pattern);
    } else {
      return base::fail("pre_tokenizer '{}' is not supported, only Split, Digits and ByteLevel", type);
    }
    if (!added) return std::unexpected(added.error());
  }
  if (!byte_level) return base::fail("pre_tokenizer has no ByteLevel: only byte-level BPE is supported");
  return {};
}

base::Result<void> read_added(const Json& file, TokenizerParts& parts) {
  const Json* added = member(file, "added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return base::fail("added_tokens is no array");
  for (const Json& token : *added) {
    const std::string text = string_of(token, "content");
    const Json* id = member(token, "id");
    if (text.empty() || id == nullptr) return base::fail("added_tokens: an entry has no content or no id");
    const auto number = id_of(*id, "added token '" + text + "'");
    if (!number) return std::unexpected(number.error());
    const bool special = flag_of(token, "special", false);
    parts.added.push_back({.text = text,
                           .id = *number,
                           .control = special || is_control_text(text),
                           .normalized = flag_of(token, "normalized", !special),
                           .single_word = flag_of(token, "single_word", false),
                           .strip_left = flag_of(token, "lstrip", false),
                           .strip_right = flag_of(token, "rstrip", false)});
  }
  return {};
}

base::Result<void> read_vocabulary(const Json& model, TokenizerParts& parts) {
  const Json* vocabulary = member(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object())
    return base::fail("model.vocab is no object of tokens and ids");
  parts.vocabulary.reserve(vocabulary->size());
  for (const auto& [text, id] : vocabulary->items()) {
    const auto number = id_of(id, "token '" + text + "'");
    if (!number) return std::unexpected(number.error());
    parts.vocabulary.emplace_back(text, *number);
  }
  return {};
}

base::Result<void> read_merges(const Json& model, TokenizerParts& parts) {
  const Json* merges = member(model, "merges");
  if (merges == nullptr || !merges->is_array()) return base::fail("model.merges is no array");
  parts.merges.reserve(merges->size());
  for (const Json& merge : *merges) {
    if (merge.is_string()) {
      const std::string_view text = merge.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space != text.npos && text.find(' ', space + 1) == text.npos) {
        parts.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      parts.merges.emplace_back(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
      continue;
    }
    return base::fail("model.merges: entry {} is {}, expected two tokens", parts.merges.size() + 1,
                      merge.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
  }
  return {};
}

// A token's id by its text, which a configuration gives as a string or as an object with `content`.
std::optional<TokenId> named_token(const Json& config, const char* name, const TokenizerParts& parts) {
  const Json* value = member(config, name);
  if (value == nullptr) return std::nullopt;
  const std::string text = value->is_string() ? value->get<std::string>() : string_of(*value, "content");
  for (const AddedToken& token : parts.added) {
    if (token.text == text) return token.id;
  }
  for (const auto& [token, id] : parts.vocabulary) {
    if (token == text) return id;
  }
  return std::nullopt;
}

base::Result<void> read_model(const Json& file, TokenizerParts& parts) {
  const Json* model = member(file, "model");
  if (model == nullptr || !model->is_object()) return base::fail("no model: this is not a tokenizer.json");
  const std::string type = string_of(*model, "type");
  if (type != "BPE" && !type.empty()) return base::fail("model '{}' is not supported, only byte-level BPE", type);
  if (flag_of(*model, "byte_fallback", false))
    return base::fail("model.byte_fallback is not supported (not byte-level BPE)");
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!string_of(*model, name).empty()) return base::fail("model.{} is not supported", name);
  }
  if (const Json* dropout = member(*model, "dropout"); dropout != nullptr && *dropout != 0.0) {
    return base::fail("model.dropout is not supported");
  }
  parts.ignore_merges = flag_of(*model, "ignore_merges", false);
  if (auto read = read_vocabulary(*model, parts); !read) return read;
  if (const Json* unknown = member(*model, "unk_token");
      unknown != nullptr && !named_token(*model, "unk_token", parts)) {
    return base::fail("model.unk_token is {}, which is not in the vocabulary",
                      files::in_quotes(unknown->dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  return read_merges(*model, parts);
}

// The token that the post-processor puts before a text, if it does.
std::optional<TokenId> leading_token(const Json& file, const TokenizerParts& parts) {
  for (const Json* step : sequence_of(member(file, "post_processor"), "processors")) {
    if (string_of(*step, "type") != "TemplateProcessing") continue;
    const Json* single = member(*step, "single");
    if (single == nullptr || !single->is_array() || single->empty()) continue;
    const Json* special = member(single->front(), "SpecialToken");
    if (special == nullptr) continue;
    return named_token(*special, "id", parts);
  }
  return std::nullopt;
}

// What is put around a text, and how tokens become text: of the kinds known here, or refused.
base::Result<void> check_kinds(const Json& file, const char* part, const char* items,
                               std::initializer_list<std::string_view> known) {
  for (const Json* step : sequence_of(member(file, part), items)) {
    const std::string type = string_of(*step, "type");
    if (type != "Sequence" && std::ranges::find(known, type) == known.end()) {
      return base::fail("{} {} is not supported, only {}", part, files::in_quotes(type), fmt::join(known, " and "));
    }
  }
  return {};
}

// One template, or several with names, of which `default` is for chats.
std::string chat_template_of(const Json& config) {
  const Json* value = member(config, "chat_template");
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) return {};
  for (const Json& entry : *value) {
    if (string_of(entry, "name") == "default") return string_of(entry, "template");
  }
  return value->empty() ? std::string() : string_of(value->front(), "template");
}

void read_config(const Json& config, const Json& file, TokenizerParts& parts) {
  const std::optional<TokenId> leading = leading_token(file, parts);
  parts.bos = named_token(config, "bos_token", parts);
  if (!parts.bos) parts.bos = leading;
  parts.eos = named_token(config, "eos_token", parts);
  parts.adds_bos = parts.bos && flag_of(config, "add_bos_token", leading.has_value());
  parts.chat_template = chat_template_of(config);
}

base::Result<void> read_generation_config(const Json& config, TokenizerParts& parts) {
  const Json* eos = member(config, "eos_token_id");
  if (eos == nullptr) return {};
  for (const Json& id : eos->is_array() ? *eos : Json::array({*eos})) {
    const auto number = id_of(id, "eos_token_id");
    if (!number) return std::unexpected(number.error());
    parts.further_stops.push_back(*number);
  }
  return {};
}

base::Result<void> read_file(const Json& file, const Json& config, TokenizerParts& parts) {
  if (auto read = read_normalizer(file, parts); !read) return read;
  if (auto read = read_pre_tokenizer(file, parts); !read) return read;
  if (auto read = read_added(file, parts); !read) return read;
  if (auto read = read_model(file, parts); !read) return read;
  if (auto known = check_kinds(file, "post_processor", "processors", {"ByteLevel", "TemplateProcessing"}); !known) {
    return known;
  }
  if (auto known = check_kinds(file, "decoder", "decoders", {"ByteLevel"}); !known) return known;
  read_config(config, file, parts);
  return {};
}

base::Result<Json> read_beside(const std::filesystem::path& directory, const char* name) {
  std::error_code error;
  if (!std::filesystem::exists(directory / name, error)) return Json::object();
  return files::read_json((directory / name).string());
}

base::Result<std::string> read_template_beside(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "chat_template.jinja";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::string();
  const auto file = files::MappedFile::open(path.string());
  if (!file) return std::unexpected(file.error());
  return std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
}

}  // namespace

base::Result<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json, std::string_view config_json) {
  const auto file = files::parse_json(tokenizer_json, "tokenizer.json");
  if (!file) return std::unexpected(file.error());
  base::Result<Json> config = Json::object();
  if (!config_json.empty()) config = files::parse_json(config_json, "tokenizer_config.json");
  if (!config) return std::unexpected(config.error());
  TokenizerParts parts;
  parts.name = "tokenizer.json";
  if (auto read = read_file(*file, *config, parts); !read) return base::fail_with(parts.name, read.error());
  auto impl = Impl::assemble(std::move(parts));
  if (!impl) return std::unexpected(impl.error());
  return Tokenizer(std::move(*impl));
}

base::Result<Tokenizer> Tokenizer::from_directory(const std::string& directory) {
  const std::filesystem::path folder(directory);
  TokenizerParts parts;
  parts.name = (folder / "tokenizer.json").string();
  const auto file = files::read_json(parts.name);
  if (!file) return std::unexpected(file.error());
  const auto config = read_beside(folder, "tokenizer_config.json");
  if (!config) return std::unexpected(config.error());
  const auto generation = read_beside(folder, "generation_config.json");
  if (!generation) return std::unexpected(generation.error());
  if (auto read = read_file(*file, *config, parts); !read) return base::fail_with(parts.name, read.error());
  if (auto read = read_generation_config(*generation, parts); !read) {
    return base::fail_with((folder / "generation_config.json").string(), read.error());
  }
  auto text = read_template_beside(folder);
  if (!text) return std::unexpected(text.error());
  if (!text->empty()) parts.chat_template = std::move(*text);
  auto impl = Impl::assemble(std::move(parts));
  if (!impl) return std::unexpected(impl.error());
  return Tokenizer(std::move(*impl));
}

}  // namespace fathom::tokens
