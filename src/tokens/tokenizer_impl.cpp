// Puts a tokenizer together from what a file said, and encodes: added tokens first, then normalising, cutting, merging.
#include "tokens/tokenizer_impl.h"

#include <algorithm>
#include <array>
#include <utility>

#include "files/in_quotes.h"
#include "tokens/byte_alphabet.h"
#include "tokens/utf8.h"

namespace fathom::tokens {
namespace {

// Embedding rows of the largest vocabularies are 2^18; ids far above are an error of the file, not a bigger model.
constexpr TokenId kLargestId = (1 << 22) - 1;

// Tokens that end an answer in one family or another. One that a tokenizer has as a control token does so.
constexpr std::array<std::string_view, 9> kEndings = {"<|im_end|>", "<|endoftext|>",   "<|eot_id|>",
                                                      "<|eom_id|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>",
                                                      "<|EOT|>",    "<|end|>",         "<|eot|>"};

// Bytes that text may well hold. Real vocabularies lack some of the others: those that UTF-8 never uses (DeepSeek LLM),
// control characters and the first bytes of rare planes (SmolLM2).
bool is_common(int byte) {
  if (byte < 0x20) return byte == '\t' || byte == '\n' || byte == '\r';
  return byte != 0xC0 && byte != 0xC1 && byte <= 0xF0;
}

std::unexpected<base::Error> two_texts(TokenId id, std::string_view one, std::string_view other) {
  return base::fail("the id {} belongs to two tokens, {} and {}", id, files::in_quotes(one), files::in_quotes(other));
}

}  // namespace

bool is_control_text(std::string_view text) {
  return text.size() > 2 && text.starts_with('<') && text.ends_with('>');
}

base::Result<std::unique_ptr<Tokenizer::Impl>> Tokenizer::Impl::assemble(TokenizerParts parts) {
  auto impl = std::make_unique<Impl>();
  impl->normalizer = std::move(parts.normalizer);
  impl->pre_tokenizer = std::move(parts.pre_tokenizer);
  if (auto taken = impl->take_tokens(parts); !taken) return base::fail_with(parts.name, taken.error());
  if (auto taken = impl->take_merges(parts); !taken) return base::fail_with(parts.name, taken.error());
  if (auto taken = impl->take_ends(parts); !taken) return base::fail_with(parts.name, taken.error());
  impl->chat_template = std::move(parts.chat_template);
  return impl;
}

base::Result<void> Tokenizer::Impl::take_tokens(const TokenizerParts& parts) {
  TokenId highest = -1;
  const auto count = [&](TokenId id) {
    highest = std::max(highest, id);
    return id >= 0 && id <= kLargestId;
  };
  for (const auto& [text, id] : parts.vocabulary) {
    if (!count(id)) return base::fail("token id {}: ids must be 0 to {}", id, kLargestId);
  }
  for (const AddedToken& token : parts.added) {
    if (!count(token.id)) return base::fail("added token id {}: ids must be 0 to {}", token.id, kLargestId);
  }
  if (highest < 0) return base::fail("the vocabulary is empty");
  kinds.assign(static_cast<std::size_t>(highest) + 1, Kind::kUndefined);
  std::vector<std::string> texts(kinds.size());
  for (const AddedToken& token : parts.added) {
    std::string& text = texts[static_cast<std::size_t>(token.id)];
    if (!text.empty() && text != token.text) return two_texts(token.id, text, token.text);
    text = token.text;
    kinds[static_cast<std::size_t>(token.id)] = token.control ? Kind::kControl : Kind::kAdded;
    (token.normalized && !normalizer.empty() ? added_normalized : added_first).add(token);
  }
  added_first.finish();
  added_normalized.finish();
  added_by_text = parts.added;
  std::ranges::stable_sort(added_by_text, {}, &AddedToken::text);
  for (const auto& [text, id] : parts.vocabulary) {
    Kind& kind = kinds[static_cast<std::size_t>(id)];
    const std::string& known = texts[static_cast<std::size_t>(id)];
    if (kind != Kind::kUndefined && (kind == Kind::kMerged || known != text)) return two_texts(id, known, text);
    if (kind == Kind::kControl) continue;  // merging must not make it
    auto token_bytes = bytes_from_alphabet(text);
    if (kind == Kind::kUndefined) texts[static_cast<std::size_t>(id)] = token_bytes ? *token_bytes : std::string(text);
    if (kind == Kind::kUndefined) kind = Kind::kMerged;
    if (token_bytes) bpe.add_token(std::move(*token_bytes), id);
  }
  offsets.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    offsets.push_back(static_cast<std::uint32_t>(blob.size()));
    blob += text;
    if (blob.size() > UINT32_MAX) return base::fail("the tokens' texts are longer than 4 GiB");
  }
  offsets.push_back(static_cast<std::uint32_t>(blob.size()));
  return {};
}

bool Tokenizer::Impl::is_control_added(std::string_view text) const {
  const auto it = std::ranges::lower_bound(added_by_text, text, {}, &AddedToken::text);
  return it != added_by_text.end() && it->text == text && it->control;
}

base::Result<void> Tokenizer::Impl::take_merges(const TokenizerParts& parts) {
  std::size_t number = 0;
  for (const auto& [left, right] : parts.merges) {
    ++number;
    const auto left_bytes = bytes_from_alphabet(left);
    const auto right_bytes = bytes_from_alphabet(right);
    const TokenId* left_id = left_bytes ? bpe.find(*left_bytes) : nullptr;
    const TokenId* right_id = right_bytes ? bpe.find(*right_bytes) : nullptr;
    const TokenId* merged = left_id != nullptr && right_id != nullptr ? bpe.find(*left_bytes + *right_bytes) : nullptr;
    if (merged == nullptr) {
      if (parts.skips_dead_merges && left_id != nullptr && right_id != nullptr) continue;
      if (is_control_added(left) || is_control_added(right) || is_control_added(std::string(left).append(right)))
        continue;
      return base::fail("merge {} ('{}' and '{}') names or makes no token of the vocabulary", number, left, right);
    }
    bpe.add_merge(*left_id, *right_id, *merged);
  }
  bpe.finish(parts.ignore_merges);
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    if (is_common(b) && bpe.find({&byte, 1}) == nullptr) {
      return base::fail("the vocabulary has no token for the byte {} ({})", b, bytes_to_alphabet({&byte, 1}));
    }
  }
  return {};
}

base::Result<void> Tokenizer::Impl::take_ends(const TokenizerParts& parts) {
  for (const auto& end : {parts.bos, parts.eos}) {
    if (end && (!valid(*end) || kinds[static_cast<std::size_t>(*end)] == Kind::kUndefined)) {
      return base::fail("the beginning or end token {} is not in the vocabulary", *end);
    }
  }
  bos = parts.bos;
  eos = parts.eos;
  adds_bos = parts.adds_bos;
  const auto add = [&](TokenId id) {
    if (valid(id) && std::ranges::find(stops, id) == stops.end()) stops.push_back(id);
  };
  if (eos) add(*eos);
  for (const TokenId id : parts.further_stops) add(id);
  for (const std::string_view ending : kEndings) {
    if (!is_control_added(ending)) continue;
    add(std::ranges::lower_bound(added_by_text, ending, {}, &AddedToken::text)->id);
  }
  return {};
}

std::string_view Tokenizer::Impl::bytes(TokenId id) const {
  if (!valid(id)) return {};
  const std::size_t begin = offsets[static_cast<std::size_t>(id)];
  return std::string_view(blob).substr(begin, offsets[static_cast<std::size_t>(id) + 1] - begin);
}

namespace {

// The trusted ranges of a part of a text, counted from its start.
std::vector<Range> ranges_within(const std::vector<Range>& ranges, Range part) {
  std::vector<Range> out;
  auto it = std::ranges::upper_bound(ranges, part.begin, {}, &Range::end);
  for (; it != ranges.end() && it->begin < part.end; ++it) {
    out.push_back({std::max(it->begin, part.begin) - part.begin, std::min(it->end, part.end) - part.begin});
  }
  return out;
}

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

}  // namespace

void Tokenizer::Impl::encode_text(const Text& text, std::vector<TokenId>& out) const {
  for (const Segment& segment : added_first.split(text.text, text.trusted)) {
    if (segment.id >= 0) {
      out.push_back(segment.id);
      continue;
    }
    const std::string_view part = text.text.substr(segment.range.begin, segment.range.end - segment.range.begin);
    const bool needs_trust = !added_normalized.empty();
    encode_segment({part, needs_trust ? ranges_within(text.trusted, segment.range) : std::vector<Range>{}}, out);
  }
}

// Normalises, keeping track of what is trusted. An ASCII character never joins the one before it, so what lies between
// two of them can be normalised alone; where trust changes inside such a stretch, the whole stretch is not trusted.
Tokenizer::Impl::Text Tokenizer::Impl::normalized(const Text& text, std::string& storage) const {
  Text out;
  if (added_normalized.empty() || text.trusted.empty()) {
    storage = normalizer.apply(text.text);
    out.text = storage;
    return out;
  }
  const auto next_ascii = [&](std::size_t at) {
    while (at < text.text.size() && !is_ascii(text.text[at])) ++at;
    return at;
  };
  std::size_t done = 0;
  const auto take = [&](std::size_t end, bool trusted) {
    if (end <= done) return;
    const std::size_t begin = storage.size();
    storage += normalizer.apply(text.text.substr(done, end - done));
    if (trusted) out.trusted.push_back({begin, storage.size()});
    done = end;
  };
  for (const Range& range : text.trusted) {
    take(next_ascii(range.begin), false);
    // The last character of the range may be composed with what follows.
    std::size_t end = range.end;
    if (end < text.text.size() && !is_ascii(text.text[end])) {
      while (end > range.begin && !is_ascii(text.text[end - 1])) --end;
      if (end > range.begin) --end;
    }
    take(end, true);
  }
  take(text.text.size(), false);
  out.text = storage;
  return out;
}

// Between two added tokens: bytes that are not UTF-8 are merged among themselves.
void Tokenizer::Impl::encode_segment(const Text& text, std::vector<TokenId>& out) const {
  std::string_view rest = text.text;
  std::size_t at = 0;
  while (!rest.empty()) {
    const std::size_t valid_bytes = utf8::valid_prefix(rest);
    if (valid_bytes > 0) {
      const std::string_view part = rest.substr(0, valid_bytes);
      if (normalizer.empty()) {
        encode_pieces(part, out);
      } else {
        std::string storage;
        const Text normal = normalized({part, ranges_within(text.trusted, {at, at + valid_bytes})}, storage);
        for (const Segment& segment : added_normalized.split(normal.text, normal.trusted)) {
          const Range& range = segment.range;
          if (segment.id >= 0) {
            out.push_back(segment.id);
          } else {
            encode_pieces(normal.text.substr(range.begin, range.end - range.begin), out);
          }
        }
      }
    }
    rest.remove_prefix(valid_bytes);
    std::size_t broken = 0;
    while (broken < rest.size()) {
      const utf8::Unit unit = utf8::unit_at(rest, broken);
      if (unit.kind == utf8::Kind::kCharacter) break;
      broken += unit.size;
    }
    if (broken > 0) bpe.encode(rest.substr(0, broken), out);
    rest.remove_prefix(broken);
    at += valid_bytes + broken;
  }
}

void Tokenizer::Impl::encode_pieces(std::string_view text, std::vector<TokenId>& out) const {
  std::deque<std::string> storage;
  for (const std::string_view piece : pre_tokenizer.split(text, storage)) bpe.encode(piece, out);
}

}  // namespace fathom::tokens
