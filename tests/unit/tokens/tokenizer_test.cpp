// Merging, added tokens and their trust, both file forms, and what is refused.
#include "tokens/tokenizer.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "tiny_tokenizer.h"

namespace fathom::tokens {
namespace {

const Tiny kWords = {
    .merges = {{"l", "l"}, {"h", "e"}, {"he", "ll"}, {"hell", "o"}, {" ", "w"}, {"a", "a"}, {"aa", "a"}, {"aa", "aa"}},
    .added = {{"<|end|>"}, {"<think>", false}, {"</think>", false}, {"ü", false}, {"<|end|>!"}}};

enum : TokenId {
  kHello = 259,
  kSpaceW = 260,
  kAa = 261,
  kAaa = 262,
  kAaaa = 263,
  kEnd = 264,
  kThink = 265,
  kThinkEnd = 266,
  kUmlaut = 267,
  kEndBang = 268
};

TEST(Tokenizer, MergesByRankAndFromTheLeft) {
  const Tokenizer t = tiny_tokenizer(kWords);
  EXPECT_EQ(t.encode("hello", false), Ids{kHello});
  EXPECT_EQ(t.encode("hello w", false), (Ids{kHello, kSpaceW}));
  EXPECT_EQ(t.encode("aaa", false), Ids{kAaa});
  EXPECT_EQ(t.encode("aaaaa", false), (Ids{kAa, kAaa}));  // a-a a-a a: then (aa, a) ranks before (aa, aa)
  EXPECT_EQ(t.encode("", false), Ids{});
}

// The definition of byte-pair merging, without any cleverness.
Ids merge_slowly(std::string_view text, const Tiny& tiny) {
  std::vector<std::string> parts;
  for (const char c : text) parts.emplace_back(1, c);
  for (bool merged = true; merged;) {
    merged = false;
    for (const auto& [left, right] : tiny.merges) {
      for (std::size_t i = 0; i + 1 < parts.size() && !merged; ++i) {
        if (parts[i] != left || parts[i + 1] != right) continue;
        parts[i] += right;
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        merged = true;
      }
      if (merged) break;
    }
  }
  Ids ids;
  for (const std::string& part : parts) {
    TokenId id = static_cast<unsigned char>(part[0]);
    for (std::size_t k = 0; k < tiny.merges.size(); ++k) {
      if (part.size() > 1 && tiny.merges[k].first + tiny.merges[k].second == part) id = 256 + static_cast<TokenId>(k);
    }
    ids.push_back(id);
  }
  return ids;
}

TEST(Tokenizer, LongPiecesMergeAsShortOnes) {
  const Tiny tiny = {
      .merges = {{"a", "b"}, {"b", "a"}, {"ab", "a"}, {"a", "a"}, {"aa", "b"}, {"b", "b"}, {"ab", "ab"}, {"bb", "aa"}}};
  const Tokenizer t = tiny_tokenizer(tiny);
  std::mt19937 random(7);
  for (const int length : {1, 2, 10, 23, 24, 25, 26, 60, 200}) {
    for (int round = 0; round < 20; ++round) {
      std::string text;
      for (int i = 0; i < length; ++i) text += random() % 3 == 0 ? 'b' : 'a';
      EXPECT_EQ(t.encode(text, false), merge_slowly(text, tiny)) << text;
    }
  }
}

TEST(Tokenizer, IgnoreMergesTakesWholePieces) {
  Tiny tiny = {.merges = {{"b", "c"}, {"a", "b"}, {"ab", "c"}}};  // by merging, abc becomes a + bc
  EXPECT_EQ(tiny_tokenizer(tiny).encode("abc", false), (Ids{'a', 256}));
  tiny.ignore_merges = true;
  EXPECT_EQ(tiny_tokenizer(tiny).encode("abc", false), Ids{258});
}

TEST(Tokenizer, ControlTokensOnlyWhereAllowed) {
  const Tokenizer t = tiny_tokenizer(kWords);
  EXPECT_EQ(t.encode("hello<|end|><think>", true), (Ids{kHello, kEnd, kThink}));
  EXPECT_EQ(t.encode("<think>", false), bytes_of("<think>"));
  EXPECT_EQ(t.encode("<|end|>", false), bytes_of("<|end|>"));
  EXPECT_EQ(t.encode("<|end|>!", true), Ids{kEndBang});  // the longest of those that start here
  EXPECT_EQ(t.encode("<|end|", true), bytes_of("<|end|"));
  EXPECT_EQ(t.encode("F\u00FChrer", false), (Ids{'F', kUmlaut, 'h', 'r', 'e', 'r'}));  // letters match everywhere
}

TEST(Tokenizer, PiecesAreJoinedBeforeMerging) {
  const Tokenizer t = tiny_tokenizer(kWords);
  EXPECT_EQ(t.encode(Prompt{{"he", true}, {"llo", false}, {" w", true}}), (Ids{kHello, kSpaceW}));
  EXPECT_EQ(t.encode(Prompt{{"<|end|>", true}, {"<|end|>", false}, {"<|end|>", true}}),
            (Ids{kEnd, '<', '|', 'e', 'n', 'd', '|', '>', kEnd}));
  // Half a token from each side is none, from two trusted pieces it is one.
  EXPECT_EQ(t.encode(Prompt{{"<|end", true}, {"|>", false}}), bytes_of("<|end|>"));
  EXPECT_EQ(t.encode(Prompt{{"<|end", false}, {"|>", true}}), bytes_of("<|end|>"));
  EXPECT_EQ(t.encode(Prompt{{"<|end", true}, {"", false}, {"|>", true}}), Ids{kEnd});
  // The longer token is not trusted whole, the shorter is.
  EXPECT_EQ(t.encode(Prompt{{"<|end|>", true}, {"!", false}}), (Ids{kEnd, '!'}));
}

TEST(Tokenizer, BytesThatAreNotUtf8AreEncodedAsBytes) {
  const Tokenizer t = tiny_tokenizer(kWords);
  EXPECT_EQ(t.encode("hello\xFF\xC3hello", false), (Ids{kHello, 0xFF, 0xC3, kHello}));
  EXPECT_EQ(t.encode("\xE2\x82", false), (Ids{0xE2, 0x82}));
}

TEST(Tokenizer, FlagsOfAddedTokens) {
  Tiny tiny = {.added = {{"[l]", false, false, "lstrip"},
                         {"[r]", false, false, "rstrip"},
                         {"word", false, false, "single_word"}}};
  const Tokenizer t = tiny_tokenizer(tiny);
  EXPECT_EQ(t.encode("a \t[l] b", false), (Ids{'a', 256, ' ', 'b'}));
  EXPECT_EQ(t.encode("a [r] \u3000b", false), (Ids{'a', ' ', 257, 'b'}));
  EXPECT_EQ(t.encode("word a", false), (Ids{258, ' ', 'a'}));
  EXPECT_EQ(t.encode("words", false), bytes_of("words"));
  EXPECT_EQ(t.encode("\u00E9word", false), bytes_of("\u00E9word"));
}

TEST(Tokenizer, NormalisesBetweenAddedTokens) {
  Tiny tiny = {.added = {{"<a>"}, {"<b>", true, true}}};
  files::Json json = tiny_json(tiny);
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  const Tokenizer t = tiny_tokenizer(tiny, json);
  EXPECT_EQ(t.encode("e\u0301", false), bytes_of("\u00E9"));
  EXPECT_EQ(t.encode("\u212B", false), bytes_of("\u00C5"));
  // '>' with a stroke through it is another character: <a> is found before composing, <b> after it.
  EXPECT_EQ(t.encode("<a>\u0338", true), (Ids{256, 0xCC, 0xB8}));
  EXPECT_EQ(t.encode("<b>\u0338", true), bytes_of("<b\u226F"));
  EXPECT_EQ(t.encode("<b>", true), Ids{257});
  EXPECT_EQ(t.encode(Prompt{{"<b>", true}, {"\u0338<b>", false}, {"<b>", true}}),
            (Ids{'<', 'b', 0xE2, 0x89, 0xAF, '<', 'b', '>', 257}));
}

TEST(Tokenizer, DecodesBytesAndNames) {
  const Tokenizer t = tiny_tokenizer(kWords);
  EXPECT_EQ(t.decode(Ids{kHello, kEnd, kSpaceW, kUmlaut}, true), "hello<|end|> w\u00FC");
  EXPECT_EQ(t.decode(Ids{kHello, kEnd, kSpaceW}, false), "hello w");
  EXPECT_EQ(t.decode(Ids{0xC3, 0xA9, 0xFF, 'a'}, true), "\u00E9\uFFFDa");
  EXPECT_EQ(t.bytes(kEnd), "<|end|>");
  EXPECT_EQ(t.bytes(0xC3), "\xC3");
  EXPECT_EQ(t.bytes(-1), "");
  EXPECT_EQ(t.bytes(100000), "");
  EXPECT_TRUE(t.is_control(kThink));
  EXPECT_FALSE(t.is_control(kUmlaut));
  EXPECT_EQ(t.find("<think>"), kThink);
  EXPECT_EQ(t.find("hello"), std::nullopt);  // only added tokens
  EXPECT_EQ(t.vocabulary_size(), 269);
  EXPECT_FALSE(t.defined(269));
}

TEST(Tokenizer, EveryTextComesBack) {
  const Tokenizer t = tiny_tokenizer(kWords);
  std::mt19937 random(3);
  const std::vector<std::string> parts = {"hello",  " w",   "aaaa", "\u00E9", "\u6F22\u5B57", "\U0001F642", "<|end|>",
                                          "\u00FC", "\n\n", "  ",   "1"};
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += parts[random() % parts.size()];
    for (const bool control : {false, true}) EXPECT_EQ(t.decode(t.encode(text, control), true), text);
  }
}

TEST(Detokenizer, NeverGivesHalfACharacter) {
  const Tokenizer t = tiny_tokenizer(kWords);
  Detokenizer d(t);
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.push(0x9F), "");
  EXPECT_EQ(d.push(0x99), "");
  EXPECT_EQ(d.push(0x82), "\U0001F642");
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push('a'), "\uFFFDa");  // it cannot become a character any more
  EXPECT_EQ(d.push(0xC3), "");
  EXPECT_EQ(d.push(kEnd), "");
  EXPECT_EQ(d.push(0xA9), "\u00E9");
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.flush(), "\uFFFD");
  EXPECT_EQ(d.flush(), "");
  Detokenizer shown(t, true);
  EXPECT_EQ(shown.push(kEnd), "<|end|>");
}

TEST(Detokenizer, ReplacesBrokenStretchesAsTheReferenceDoes) {
  const Tokenizer t = tiny_tokenizer(kWords);
  const std::vector<std::pair<std::string, std::string>> cases = {{"\xC0\xAF", "\uFFFD\uFFFD"},
                                                                  {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
                                                                  {"\xF0\x9F\x99", "\uFFFD"},
                                                                  {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
                                                                  {"\xE4\xB8\xE4\xB8\xAD", "\uFFFD\u4E2D"},
                                                                  {"\x80", "\uFFFD"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(t.decode(bytes_of(bytes), true), text);
    Detokenizer d(t);
    std::string streamed;
    for (const TokenId id : bytes_of(bytes)) streamed += d.push(id);
    EXPECT_EQ(streamed + d.flush(), text);
  }
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

TEST(Tokenizer, AMegabyteOfOneThingTakesUnderASecond) {
  for (const char* pre : {"deepseek-llm", "deepseek-coder", "deepseek-v3", "qwen2", "llama-bpe", "smollm"}) {
    Tiny tiny = {.merges = {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}, {" ", " "}, {"  ", "  "}, {"1", "1"}},
                 .added = {{"<|end|>"}}};
    tiny.pre = pre;
    const auto t = tokenizer_from(tiny_gguf(tiny));
    ASSERT_TRUE(t) << t.error().message;
    for (const std::string_view unit : {"a", " ", "\n", "1", "<", "\u00E9", "\u6F22", ".", "\t "}) {
      std::string text;
      while (text.size() < 1'000'000) text += unit;
      text += "x";  // so that a run of white space does not end the text
      const double start = cpu_seconds();
      const Ids ids = t->encode(text, true);
      const double seconds = cpu_seconds() - start;
      EXPECT_EQ(t->decode(ids, true), text);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_UNDEFINED__)
      EXPECT_LT(seconds, 1.0) << pre << " '" << unit << "'";
#else
      EXPECT_LT(seconds, 30.0) << pre << " '" << unit << "'";
#endif
    }
  }
}

TEST(TokenizerGguf, ReadsWhatJsonSays) {
  Tiny tiny = kWords;
  GgufBytes file = tiny_gguf(tiny);
  file.number("tokenizer.ggml.bos_token_id", kThink).number("tokenizer.ggml.eos_token_id", kEnd);
  file.number("tokenizer.ggml.eot_token_id", kThinkEnd).flag("tokenizer.ggml.add_bos_token", true);
  file.text("tokenizer.chat_template", "{{ 1 }}");
  const auto t = tokenizer_from(file);
  ASSERT_TRUE(t) << t.error().message;
  const Tokenizer j = tiny_tokenizer(tiny);
  for (const char* text : {"hello w<|end|>", "<think>aaaa", "F\u00FChrer \xFF"}) {
    EXPECT_EQ(t->encode(text, true), j.encode(text, true));
    EXPECT_EQ(t->encode(text, false), j.encode(text, false));
  }
  EXPECT_EQ(t->bos(), kThink);
  EXPECT_EQ(t->eos(), kEnd);
  EXPECT_TRUE(t->adds_bos());
  EXPECT_EQ(Ids(t->stop_tokens().begin(), t->stop_tokens().end()), (Ids{kEnd, kThinkEnd}));
  EXPECT_EQ(t->chat_template(), "{{ 1 }}");
  EXPECT_TRUE(t->is_control(kThink));
  EXPECT_FALSE(t->is_control(kUmlaut));
}

std::string gguf_error(const GgufBytes& file) {
  const auto t = tokenizer_from(file);
  return t ? "no error" : t.error().message;
}

TEST(TokenizerGguf, RefusesByName) {
  Tiny tiny;
  tiny.pre = "tekken";
  EXPECT_NE(gguf_error(tiny_gguf(tiny)).find("'tekken' is not known"), std::string::npos);
  EXPECT_NE(gguf_error(GgufBytes().text("tokenizer.ggml.model", "llama")).find("'llama' is not supported"),
            std::string::npos);
  EXPECT_NE(gguf_error(GgufBytes()).find("no tokenizer.ggml.model"), std::string::npos);
  EXPECT_NE(gguf_error(GgufBytes().text("tokenizer.ggml.model", "gpt2")).find("no tokenizer.ggml.pre"),
            std::string::npos);
  EXPECT_NE(
      gguf_error(tiny_gguf({}).number("tokenizer.ggml.bos_token_id", 256)).find("bos_token_id is 256, of 256 tokens"),
      std::string::npos);
  GgufBytes bare;
  bare.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "gpt-2")
      .texts("tokenizer.ggml.tokens", {"a", "b"});
  EXPECT_NE(gguf_error(bare).find("token_type has 0 integers, expected one for each of 2 tokens"), std::string::npos);
  bare.numbers("tokenizer.ggml.token_type", {1, 1}).texts("tokenizer.ggml.merges", {"a b", "a c"});
  // The first makes no token and is left out; the second names none and is refused.
  EXPECT_NE(gguf_error(bare).find("merge 2 ('a' and 'c') names or makes no token"), std::string::npos);
}

TEST(TokenizerGguf, ControlTokensThatAConverterCalledNormal) {
  const auto t = tokenizer_from(gguf_of({{"<x", 1}, {"<x>", 1}, {"<|end|>", 1}}, {"< x", "<x >"}));
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ(t->find("<|end|>"), 258);
  EXPECT_TRUE(t->is_control(258));
  EXPECT_EQ(t->find("<x>"), std::nullopt);  // a merge makes it: an ordinary token
  EXPECT_FALSE(t->is_control(257));
}

TEST(TokenizerGguf, PaddingIsNoToken) {
  const auto t = tokenizer_from(gguf_of({{"[PAD1]", 5}, {"<x>", 3}}, {}));
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_TRUE(t->defined(255));
  EXPECT_FALSE(t->defined(256));
  EXPECT_EQ(t->bytes(256), "");
  EXPECT_EQ(t->vocabulary_size(), 258);
}

TEST(TokenizerGguf, DamageIsNamed) {
  GgufBytes file;
  file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-2");
  file.texts("tokenizer.ggml.tokens", {"a"}).numbers("tokenizer.ggml.token_type", {1});
  EXPECT_NE(gguf_error(file).find("no tokenizer.ggml.merges"), std::string::npos);
  file.texts("tokenizer.ggml.merges", {});
  EXPECT_NE(gguf_error(file).find("no token for the byte 9 "), std::string::npos) << gguf_error(file);
  EXPECT_NE(gguf_error(gguf_of({{"[PAD]", 5}, {"a", 1}}, {})).find("97 and 257 are both 'a'"), std::string::npos);
  EXPECT_NE(gguf_error(gguf_of({{"<x>", 3}, {"[PAD]", 5}, {"<x>", 1}}, {})).find("256 and 258 are both '<x>'"),
            std::string::npos);
}

std::string json_error(const files::Json& json) {
  const auto t = Tokenizer::from_json(json.dump(), "");
  return t ? "no error" : t.error().message;
}

TEST(TokenizerJson, DamageIsNamed) {
  const files::Json good = tiny_json({.merges = {{"a", "b"}}, .added = {{"<x>"}}});
  EXPECT_EQ(json_error(good), "no error");
  const auto with = [&](const char* pointer, const files::Json& value) {
    files::Json json = good;
    json[files::Json::json_pointer(pointer)] = value;
    return json_error(json);
  };
  const auto expect = [&](const char* pointer, const files::Json& value, std::string_view words) {
    EXPECT_NE(with(pointer, value).find(words), std::string::npos) << with(pointer, value);
  };
  expect("/model/vocab/ab", 97, "the id 97 belongs to two tokens, 'a' and 'ab'");
  expect("/added_tokens/0/id", 97, "the id 97 belongs to two tokens, '<x>' and 'a'");
  expect("/added_tokens/1", {{"id", 257}, {"content", "<y>"}}, "the id 257 belongs to two tokens, '<x>' and '<y>'");
  expect("/post_processor", {{"type", "RobertaProcessing"}}, "post_processor 'RobertaProcessing' is not supported");
  expect("/post_processor", {{"type", "Sequence"}, {"processors", {{{"type", "BertProcessing"}}}}}, "'BertProcessing'");
  expect("/decoder", {{"type", "Metaspace"}}, "decoder 'Metaspace' is not supported, only ByteLevel");
  expect("/model/unk_token", "<unk>", "model.unk_token is '\"<unk>\"', which is not in the vocabulary");
  EXPECT_EQ(with("/model/unk_token", "<x>"), "no error");
  EXPECT_EQ(with("/decoder", {{"type", "ByteLevel"}}), "no error");

  // Bytes that UTF-8 never uses, and control characters, may be missing; a letter may not.
  for (const auto& [byte, words] : {std::pair{0xFF, "no error"}, {0x06, "no error"}, {'x', "for the byte 120 (x)"}}) {
    files::Json json = good;
    json["model"]["vocab"].erase(bytes_to_alphabet(std::string(1, static_cast<char>(byte))));
    EXPECT_NE(json_error(json).find(words), std::string::npos) << json_error(json);
  }
}

TEST(TokenizerJson, MergesMayBePairsAndTokensMayNotBeMade) {
  Tiny tiny = {.merges = {{"<", "x"}, {"<x", ">"}}, .added = {{"<y>"}}};
  files::Json json = tiny_json(tiny);
  json["pre_tokenizer"]["use_regex"] = false;
  json["model"]["merges"] = files::Json::array({nullptr, nullptr});
  json["model"]["merges"][0] = files::Json::array({"<", "x"});
  json["model"]["merges"][1] = files::Json::array({"<x", ">"});
  EXPECT_EQ(tiny_tokenizer(tiny, json).encode("<x>", false), Ids{257});
  // The vocabulary lists a control token that merging could make: typed text still yields none.
  json["added_tokens"].push_back({{"id", 257}, {"content", "<x>"}, {"special", true}});
  const Tokenizer t = tiny_tokenizer(tiny, json);
  EXPECT_EQ(t.encode("<x>", false), (Ids{256, '>'}));
  EXPECT_EQ(t.encode("<x>", true), Ids{257});
}

TEST(TokenizerJson, PreTokenizerSteps) {
  Tiny tiny = {.merges = {{"1", "2"}, {" ", "a"}, {"a", "b"}, {"-", "-"}}};
  const auto with = [&](const files::Json& pre) {
    files::Json json = tiny_json(tiny);
    json["pre_tokenizer"] = pre;
    return tiny_tokenizer(tiny, json);
  };
  const files::Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto sequence = [&](const files::Json& step) {
    return files::Json{{"type", "Sequence"}, {"pretokenizers", files::Json::array({step, bytes})}};
  };
  EXPECT_EQ(with(bytes).encode("12", false), Ids{256});
  EXPECT_EQ(with(sequence({{"type", "Digits"}, {"individual_digits", true}})).encode("12", false), (Ids{'1', '2'}));
  EXPECT_EQ(with(sequence({{"type", "Digits"}, {"individual_digits", false}})).encode("12", false), Ids{256});
  EXPECT_EQ(with({{"type", "ByteLevel"}, {"add_prefix_space", true}}).encode("a", false), Ids{257});
  EXPECT_EQ(with({{"type", "ByteLevel"}, {"add_prefix_space", true}}).encode(" a", false), Ids{257});
  const auto split = [&](const char* behavior, bool invert) {
    return with(
        sequence({{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", behavior}, {"invert", invert}}));
  };
  EXPECT_EQ(split("Isolated", false).encode("ab--", false), (Ids{258, '-', '-'}));
  EXPECT_EQ(split("Removed", false).encode("ab--", false), Ids{258});
  EXPECT_EQ(split("Removed", true).encode("ab--", false), (Ids{'-', '-'}));
  EXPECT_EQ(split("Contiguous", false).encode("ab--", false), (Ids{258, 259}));
}

TEST(TokenizerJson, RefusesByName) {
  const auto error = [](auto change) {
    files::Json json = tiny_json({.added = {{"<x>"}}});
    change(json);
    const auto t = Tokenizer::from_json(json.dump(), "");
    return t ? std::string("no error") : t.error().message;
  };
  using files::Json;
  EXPECT_NE(error([](Json& j) { j["model"]["type"] = "Unigram"; }).find("model 'Unigram' is not supported"),
            std::string::npos);
  EXPECT_NE(error([](Json& j) { j["normalizer"] = {{"type", "Prepend"}}; }).find("normalizer 'Prepend'"),
            std::string::npos);
  EXPECT_NE(error([](Json& j) { j["pre_tokenizer"] = {{"type", "Metaspace"}}; }).find("'Metaspace' is not supported"),
            std::string::npos);
  EXPECT_NE(error([](Json& j) { j["pre_tokenizer"] = nullptr; }).find("no ByteLevel"), std::string::npos);
  EXPECT_NE(error([](Json& j) { j["model"]["vocab"]["zz"] = -1; }).find("'zz': the id is -1"), std::string::npos);
  EXPECT_NE(error([](Json& j) { j["model"]["vocab"]["zz"] = 1 << 30; }).find("ids must be 0 to"), std::string::npos);
  EXPECT_NE(error([](Json& j) { j["model"]["merges"] = Json::array({"a b c"}); }).find("entry 1"), std::string::npos);
  EXPECT_NE(error([](Json& j) { j["model"]["merges"] = Json::array({"a b"}); }).find("names or makes no token"),
            std::string::npos);
  EXPECT_NE(error([](Json& j) { j["model"]["byte_fallback"] = true; }).find("byte_fallback"), std::string::npos);
  EXPECT_NE(error([](Json& j) {
              j["pre_tokenizer"] = {
                  {"type", "Sequence"},
                  {"pretokenizers", {{{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "(a"}}}}}}};
            }).find("pattern '(a'"),
            std::string::npos);
  EXPECT_FALSE(Tokenizer::from_json("[]", ""));
  EXPECT_FALSE(Tokenizer::from_json("{", ""));
  EXPECT_FALSE(Tokenizer::from_directory("no/such/folder"));
}

TEST(TokenizerJson, ConfigurationNamesTheEnds) {
  Tiny tiny = {.added = {{"<s>"}, {"</s>"}, {"<|im_end|>"}}, .bos = "<s>", .eos = "</s>"};
  const Tokenizer plain = tiny_tokenizer(tiny);
  EXPECT_EQ(plain.bos(), 256);
  EXPECT_EQ(plain.eos(), 257);
  EXPECT_FALSE(plain.adds_bos());
  EXPECT_EQ(Ids(plain.stop_tokens().begin(), plain.stop_tokens().end()), (Ids{257, 258}));
  files::Json json = tiny_json(tiny);
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}};
  EXPECT_TRUE(tiny_tokenizer(tiny, json).adds_bos());
  const auto named = Tokenizer::from_json(json.dump(), R"({"add_bos_token": false, "bos_token": "<s>",
      "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_FALSE(named->adds_bos());
  EXPECT_EQ(named->chat_template(), "d");
}

}  // namespace
}  // namespace fathom::tokens
