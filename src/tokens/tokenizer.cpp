// The public face of a tokenizer; what a file says is read in tokenizer_gguf.cpp and tokenizer_json.cpp.
#include "tokens/tokenizer.h"

#include <algorithm>

#include "tokens/tokenizer_impl.h"
#include "tokens/utf8.h"

namespace fathom::tokens {

std::string prompt_text(const Prompt& prompt) {
  std::string text;
  for (const PromptPiece& piece : prompt) text += piece.text;
  return text;
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(const Prompt& prompt) const {
  const std::string text = prompt_text(prompt);
  std::vector<Range> trusted;
  std::size_t at = 0;
  for (const PromptPiece& piece : prompt) {
    const std::size_t end = at + piece.text.size();
    if (piece.trusted && end > at) {
      if (!trusted.empty() && trusted.back().end == at) {
        trusted.back().end = end;
      } else {
        trusted.push_back({at, end});
      }
    }
    at = end;
  }
  std::vector<TokenId> ids;
  impl_->encode_text({text, std::move(trusted)}, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool control_tokens) const {
  std::vector<Range> trusted;
  if (control_tokens && !text.empty()) trusted.push_back({0, text.size()});
  std::vector<TokenId> ids;
  impl_->encode_text({text, std::move(trusted)}, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool control_tokens) const {
  std::string raw, text;
  for (const TokenId id : ids) {
    if (control_tokens || !is_control(id)) raw += impl_->bytes(id);
  }
  utf8::append_lossy(text, raw, false);
  return text;
}

std::string_view Tokenizer::bytes(TokenId id) const {
  return impl_->bytes(id);
}

bool Tokenizer::is_control(TokenId id) const {
  return impl_->valid(id) && impl_->kinds[static_cast<std::size_t>(id)] == Impl::Kind::kControl;
}

std::optional<TokenId> Tokenizer::find(std::string_view added_token) const {
  const auto it = std::ranges::lower_bound(impl_->added_by_text, added_token, {}, &AddedToken::text);
  if (it == impl_->added_by_text.end() || it->text != added_token) return std::nullopt;
  return it->id;
}

TokenId Tokenizer::vocabulary_size() const {
  return static_cast<TokenId>(impl_->kinds.size());
}

bool Tokenizer::defined(TokenId id) const {
  return impl_->valid(id) && impl_->kinds[static_cast<std::size_t>(id)] != Impl::Kind::kUndefined;
}

std::optional<TokenId> Tokenizer::bos() const {
  return impl_->bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return impl_->eos;
}
bool Tokenizer::adds_bos() const {
  return impl_->adds_bos;
}
std::span<const TokenId> Tokenizer::stop_tokens() const {
  return impl_->stops;
}
std::string_view Tokenizer::chat_template() const {
  return impl_->chat_template;
}

std::string Detokenizer::push(TokenId id) {
  if (!control_tokens_ && tokenizer_->is_control(id)) return {};
  pending_ += tokenizer_->bytes(id);
  std::string text;
  pending_.erase(0, utf8::append_lossy(text, pending_, true));
  return text;
}

std::string Detokenizer::flush() {
  std::string text;
  utf8::append_lossy(text, pending_, false);
  pending_.clear();
  return text;
}

}  // namespace fathom::tokens
