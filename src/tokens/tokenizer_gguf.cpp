// Reads the tokenizer that a GGUF file carries under `tokenizer.ggml.*`.
#include <unordered_map>
#include <variant>

#include "files/in_quotes.h"
#include "tokens/pre_tokenizer_table.h"
#include "tokens/tokenizer.h"
#include "tokens/tokenizer_impl.h"
#include "tokens/tokenizer_parts.h"

namespace fathom::tokens {
namespace {

// Values of tokenizer.ggml.token_type.
enum TokenType : std::int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

base::Result<void> read_tokens(const files::Gguf& file, TokenizerParts& parts) {
  const auto tokens = file.strings("tokenizer.ggml.tokens");
  if (tokens.empty()) return base::fail("no tokenizer.ggml.tokens: the file holds no tokenizer");
  const files::GgufArray* types = file.array("tokenizer.ggml.token_type");
  const auto* type = types == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(types);
  if (type == nullptr || type->size() != tokens.size()) {
    return base::fail("tokenizer.ggml.token_type has {} integers, expected one for each of {} tokens",
                      type == nullptr ? 0 : type->size(), tokens.size());
  }
  std::unordered_map<std::string_view, std::size_t> ids;
  ids.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto [other, is_new] = ids.emplace(tokens[i], i);
    if (!is_new && !tokens[i].empty()) {
      return base::fail("tokenizer.ggml.tokens: {} and {} are both {}", other->second, i, files::in_quotes(tokens[i]));
    }
    const auto id = static_cast<TokenId>(i);
    switch ((*type)[i]) {
      case kNormal:
        parts.vocabulary.emplace_back(tokens[i], id);
        break;
      case kControl:
      case kUnknown:
      case kUserDefined:
        if (tokens[i].empty()) break;
        parts.added.push_back({.text = std::string(tokens[i]),
                               .id = id,
                               .control = (*type)[i] != kUserDefined || is_control_text(tokens[i])});
        break;
      case kUnused:
        break;
      default:
        return base::fail("token {} has type {}, expected 1 to 5", i, (*type)[i]);
    }
  }
  return {};
}

base::Result<void> read_merges(const files::Gguf& file, TokenizerParts& parts) {
  if (file.array("tokenizer.ggml.merges") == nullptr) {
    return base::fail("no tokenizer.ggml.merges: without them no text can be encoded");
  }
  const auto merges = file.strings("tokenizer.ggml.merges");
  parts.merges.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::size_t space = merges[i].find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merges[i].size()) {
      return base::fail("merge {} is '{}', expected two tokens with a space between", i + 1, merges[i]);
    }
    parts.merges.emplace_back(merges[i].substr(0, space), merges[i].substr(space + 1));
  }
  return {};
}

// Some converters called the tokens of a chat format normal ones. A token in angle brackets that no merge makes cannot
// come from text, so it was added.
void find_unmarked(TokenizerParts& parts) {
  std::unordered_map<std::string_view, TokenId> unmade;
  for (const auto& [text, id] : parts.vocabulary) {
    if (is_control_text(text)) unmade.emplace(text, id);
  }
  std::string made;
  for (const auto& [left, right] : parts.merges) {
    if (unmade.empty()) return;
    if (!left.starts_with('<') || !right.ends_with('>')) continue;
    made.assign(left).append(right);
    unmade.erase(made);
  }
  std::erase_if(parts.vocabulary, [&](const auto& token) {
    const auto it = unmade.find(token.first);
    return it != unmade.end() && it->second == token.second;
  });
  for (const auto& [text, id] : unmade) parts.added.push_back({.text = std::string(text), .id = id, .control = true});
}

base::Result<std::optional<TokenId>> read_id(const files::Gguf& file, std::string_view key, std::size_t tokens) {
  const auto id = file.integer(key);
  if (!id) return std::nullopt;
  if (*id < 0 || static_cast<std::uint64_t>(*id) >= tokens)
    return base::fail("{} is {}, of {} tokens", key, *id, tokens);
  return static_cast<TokenId>(*id);
}

base::Result<void> read_ends(const files::Gguf& file, TokenizerParts& parts) {
  const std::size_t tokens = file.strings("tokenizer.ggml.tokens").size();
  auto bos = read_id(file, "tokenizer.ggml.bos_token_id", tokens);
  if (!bos) return std::unexpected(bos.error());
  auto eos = read_id(file, "tokenizer.ggml.eos_token_id", tokens);
  if (!eos) return std::unexpected(eos.error());
  parts.bos = *bos;
  parts.eos = *eos;
  for (const auto key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    auto id = read_id(file, key, tokens);
    if (!id) return std::unexpected(id.error());
    if (*id) parts.further_stops.push_back(**id);
  }
  return {};
}

base::Result<TokenizerParts> read_parts(const files::Gguf& file) {
  TokenizerParts parts;
  parts.name = file.path();
  const auto model = file.string("tokenizer.ggml.model");
  if (!model) return base::fail("no tokenizer.ggml.model: the file holds no tokenizer");
  if (*model != "gpt2") {
    return base::fail("tokenizer.ggml.model '{}' is not supported, only byte-level BPE ('gpt2')", *model);
  }
  const auto pre = file.string("tokenizer.ggml.pre");
  if (!pre) return base::fail("no tokenizer.ggml.pre: convert the model again with a newer converter, which writes it");
  auto row = pre_tokenizer_row(*pre);
  if (!row) return std::unexpected(row.error());
  for (const std::string& pattern : row->patterns) {
    if (auto added = parts.pre_tokenizer.add_split(pattern); !added) return std::unexpected(added.error());
  }
  if (row->nfc) parts.normalizer.add(NormalForm::kNfc);
  parts.ignore_merges = row->ignore_merges;
  parts.skips_dead_merges = true;
  parts.adds_bos = file.boolean("tokenizer.ggml.add_bos_token").value_or(row->adds_bos);
  if (auto read = read_tokens(file, parts); !read) return std::unexpected(read.error());
  if (auto read = read_merges(file, parts); !read) return std::unexpected(read.error());
  find_unmarked(parts);
  if (auto read = read_ends(file, parts); !read) return std::unexpected(read.error());
  if (const auto text = file.string("tokenizer.chat_template")) parts.chat_template = *text;
  return parts;
}

}  // namespace

base::Result<Tokenizer> Tokenizer::from_gguf(const files::Gguf& file) {
  auto parts = read_parts(file);
  if (!parts) return base::fail_with(file.path(), parts.error());
  auto impl = Impl::assemble(std::move(*parts));
  if (!impl) return std::unexpected(impl.error());
  return Tokenizer(std::move(*impl));
}

}  // namespace fathom::tokens
