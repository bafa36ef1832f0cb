// Three places: before the first token, inside the thought, in the answer.
#include "server/constraint.h"

#include <algorithm>
#include <vector>

namespace fathom::server {

namespace {

using tokens::TokenId;

class AnswerConstraint final : public engine::Constraint {
 public:
  AnswerConstraint(const engine::LoadedModel& model, const AnswerBounds& bounds, bool opens_thinking)
      : tokenizer_(&model.tokenizer()),
        stops_(model.stop_tokens().begin(), model.stop_tokens().end()),
        think_(tokenizer_->find("<think>")),
        end_think_(tokenizer_->find("</think>")),
        budget_(bounds.max_reasoning_tokens),
        place_(opens_thinking               ? Place::kThought
               : bounds.may_think && think_ ? Place::kStart
                                            : Place::kAnswer),
        words_(static_cast<std::size_t>(tokenizer_->vocabulary_size() + 31) / 32) {
    if (bounds.grammar) matcher_.emplace(bounds.grammar->start());
  }

  std::span<const std::uint32_t> allowed() override {
    if (place_ == Place::kThought) return allowed_in_thought();
    if (!matcher_) return {};
    const auto mask = matcher_->allowed();
    if (place_ == Place::kAnswer) return mask;
    std::ranges::copy(mask, words_.begin());
    set(*think_, true);
    return words_;
  }

  bool accept(TokenId token) override {
    const Place before = place_;
    if (place_ == Place::kThought) {
      if ((matcher_ && is_stop(token)) || (spent() && token != end_think_)) return false;
      if (token == end_think_) place_ = Place::kAnswer;
    } else if (place_ == Place::kStart && token == think_) {
      place_ = Place::kThought;
    } else {
      if (matcher_ && !matcher_->accept(token)) return false;
      if (matcher_ || !is_blank(token)) place_ = Place::kAnswer;
    }
    thought_ += before == Place::kThought ? 1 : 0;
    before_.push_back(before);
    return true;
  }

  void roll_back(int count) override {
    for (; count > 0; --count) {
      const Place before = before_.back();
      before_.pop_back();
      if (before == Place::kThought) {
        --thought_;
      } else if (matcher_ && place_ == Place::kAnswer) {
        matcher_->roll_back(1);
      }
      place_ = before;
    }
  }

 private:
  enum class Place : std::uint8_t { kStart, kThought, kAnswer };

  // The budget spent, only the end of the thought may come. A thought that an answer must follow does not end the turn.
  std::span<const std::uint32_t> allowed_in_thought() {
    if (!spent() && !matcher_) return {};
    std::ranges::fill(words_, spent() ? 0 : ~std::uint32_t{0});
    if (spent()) set(*end_think_, true);
    if (!spent())
      for (const TokenId stop : stops_) set(stop, false);
    return words_;
  }

  bool spent() const { return budget_ >= 0 && thought_ >= budget_; }
  void set(TokenId id, bool allowed) {
    const std::uint32_t bit = std::uint32_t{1} << (id % 32);
    std::uint32_t& word = words_[static_cast<std::size_t>(id) / 32];
    word = allowed ? word | bit : word & ~bit;
  }
  bool is_stop(TokenId token) const { return std::ranges::find(stops_, token) != stops_.end(); }
  bool is_blank(TokenId token) const {
    return tokenizer_->bytes(token).find_first_not_of(" \t\r\n") == std::string_view::npos;
  }

  const tokens::Tokenizer* tokenizer_;
  std::vector<TokenId> stops_;
  std::optional<TokenId> think_, end_think_;
  std::optional<grammar::Matcher> matcher_;
  int budget_;
  int thought_ = 0;  // tokens of the thought so far
  Place place_;
  std::vector<Place> before_;  // where each accepted token stood
  std::vector<std::uint32_t> words_;
};

}  // namespace

std::unique_ptr<engine::Constraint> make_constraint(const engine::LoadedModel& model, const AnswerBounds& bounds,
                                                    bool opens_thinking) {
  return std::make_unique<AnswerConstraint>(model, bounds, opens_thinking);
}

}  // namespace fathom::server
