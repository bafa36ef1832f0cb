// Tokenizers small enough to write by hand: every byte is a token, then come merges and added tokens in the order
// given.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/gguf.h"
#include "files/json.h"
#include "tokens/byte_alphabet.h"
#include "tokens/tokenizer.h"

namespace fathom::tokens {

struct TinyAdded {
  std::string text;
  bool special = true;
  bool normalized = false;
  std::string flag;  // lstrip, rstrip or single_word
};

struct Tiny {
  std::vector<std::pair<std::string, std::string>> merges;  // as bytes
  std::vector<TinyAdded> added;
  std::string pre = "gpt-2";
  std::string chat_template;
  std::string bos, eos;
  bool ignore_merges = false;
};

// Token id of a byte is its value, of merge k 256 + k, of added token k 256 + merges + k.
inline files::Json tiny_json(const Tiny& tiny) {
  files::Json vocabulary = files::Json::object(), merges = files::Json::array(), added = files::Json::array();
  for (int b = 0; b < 256; ++b) vocabulary[bytes_to_alphabet(std::string(1, static_cast<char>(b)))] = b;
  int id = 256;
  for (const auto& [left, right] : tiny.merges) {
    vocabulary[bytes_to_alphabet(left + right)] = id++;
    merges.push_back(bytes_to_alphabet(left) + " " + bytes_to_alphabet(right));
  }
  for (const TinyAdded& t : tiny.added) {
    files::Json token = {{"id", id++}, {"content", t.text}, {"special", t.special}, {"normalized", t.normalized}};
    if (!t.flag.empty()) token[t.flag] = true;
    added.push_back(token);
  }
  return {
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"model", {{"type", "BPE"}, {"ignore_merges", tiny.ignore_merges}, {"vocab", vocabulary}, {"merges", merges}}}};
}

inline Tokenizer tiny_tokenizer(const Tiny& tiny, const files::Json& json) {
  files::Json config = files::Json::object();
  if (!tiny.bos.empty()) config["bos_token"] = tiny.bos;
  if (!tiny.eos.empty()) config["eos_token"] = {{"content", tiny.eos}};
  if (!tiny.chat_template.empty()) config["chat_template"] = tiny.chat_template;
  auto tokenizer = Tokenizer::from_json(json.dump(), config.dump());
  if (!tokenizer) ADD_FAILURE() << tokenizer.error().message;
  return std::move(tokenizer).value();  // throws, which ends the test
}
inline Tokenizer tiny_tokenizer(const Tiny& tiny) {
  return tiny_tokenizer(tiny, tiny_json(tiny));
}

// The header of a GGUF file, written by hand.
class GgufBytes {
 public:
  GgufBytes& text(std::string_view key, std::string_view value) {
    start(key, 8);
    string(value);
    return *this;
  }
  GgufBytes& number(std::string_view key, std::uint32_t value) {
    start(key, 4);
    raw(value);
    return *this;
  }
  GgufBytes& flag(std::string_view key, bool value) {
    start(key, 7);
    raw(static_cast<std::uint8_t>(value));
    return *this;
  }
  GgufBytes& texts(std::string_view key, const std::vector<std::string>& values) {
    start_array(key, 8, values.size());
    for (const auto& value : values) string(value);
    return *this;
  }
  GgufBytes& numbers(std::string_view key, const std::vector<std::int32_t>& values) {
    start_array(key, 5, values.size());
    for (const auto value : values) raw(value);
    return *this;
  }
  std::string bytes() const {
    std::string out = "GGUF";
    const auto put = [&](auto v) { out.append(reinterpret_cast<const char*>(&v), sizeof v); };
    put(std::uint32_t{3});
    put(std::uint64_t{0});
    put(count_);
    out += body_;
    out.append((32 - out.size() % 32) % 32, '\0');
    return out;
  }

 private:
  template <class T>
  void raw(T value) {
    body_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void string(std::string_view value) {
    raw(static_cast<std::uint64_t>(value.size()));
    body_ += value;
  }
  void start(std::string_view key, std::uint32_t type) {
    ++count_;
    string(key);
    raw(type);
  }
  void start_array(std::string_view key, std::uint32_t type, std::size_t size) {
    start(key, 9);
    raw(type);
    raw(static_cast<std::uint64_t>(size));
  }
  std::string body_;
  std::uint64_t count_ = 0;
};

// A GGUF file's tokenizer of the 256 bytes, `more` tokens behind them with their types, and merges.
inline GgufBytes gguf_of(const std::vector<std::pair<std::string, std::int32_t>>& more,
                         const std::vector<std::string>& merges, const std::string& pre = "gpt-2") {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types(256, 1);
  for (int b = 0; b < 256; ++b) tokens.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(b))));
  for (const auto& [text, type] : more) {
    // As in DeepSeek LLM: an added letter that the alphabet has too stands where no byte token does.
    const auto same = std::ranges::find(tokens, text);
    if (type != 1 && same != tokens.end()) {
      types[static_cast<std::size_t>(same - tokens.begin())] = 5;
      *same = "[unused " + text + "]";
    }
    tokens.push_back(text);
    types.push_back(type);
  }
  GgufBytes file;
  file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
  file.texts("tokenizer.ggml.tokens", tokens).numbers("tokenizer.ggml.token_type", types);
  file.texts("tokenizer.ggml.merges", merges);
  return file;
}

// The same tokenizer as GGUF metadata. Added tokens are type 3 (special) or 4.
inline GgufBytes tiny_gguf(const Tiny& tiny) {
  std::vector<std::pair<std::string, std::int32_t>> more;
  std::vector<std::string> merges;
  for (const auto& [left, right] : tiny.merges) {
    more.emplace_back(bytes_to_alphabet(left + right), 1);
    merges.push_back(bytes_to_alphabet(left) + " " + bytes_to_alphabet(right));
  }
  for (const TinyAdded& t : tiny.added) more.emplace_back(t.text, t.special ? 3 : 4);
  GgufBytes file = gguf_of(more, merges, tiny.pre);
  if (!tiny.chat_template.empty()) file.text("tokenizer.chat_template", tiny.chat_template);
  return file;
}

inline base::Result<Tokenizer> tokenizer_from(const GgufBytes& file) {
  const std::string bytes = file.bytes();
  const auto gguf = files::Gguf::parse(std::as_bytes(std::span(bytes)), "tiny.gguf");
  if (!gguf) return std::unexpected(gguf.error());
  return Tokenizer::from_gguf(*gguf);
}

using Ids = std::vector<TokenId>;

inline Ids bytes_of(std::string_view text) {
  Ids ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

}  // namespace fathom::tokens
