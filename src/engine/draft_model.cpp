#include "engine/draft_model.h"

#include <algorithm>
#include <utility>

namespace fathom::engine {

using tokens::TokenId;

namespace {

// Tokens read in one call, so that a long prompt keeps no stream waiting.
constexpr std::size_t kReadAtOnce = 256;

}  // namespace

base::Result<std::unique_ptr<DraftModel>> DraftModel::make(std::unique_ptr<Runner> runner) {
  const std::size_t page = runner->cache().page_bytes();
  auto pool = PagePool::make(page, static_cast<std::int64_t>(std::max<std::size_t>(1, kCacheBytes / page)));
  if (!pool) return std::unexpected(pool.error());
  return std::unique_ptr<DraftModel>(new DraftModel(std::move(runner), std::move(*pool)));
}

DraftModel::DraftModel(std::unique_ptr<Runner> runner, PagePool pool)
    : runner_(std::move(runner)), pool_(std::move(pool)) {}

void DraftModel::Memory::forget() {
  if (pool_ != nullptr) pool_->give_back(pages_);
  pages_.clear();
  following_.clear();
  settled_ = 0;
}

// Tokens of the run whose rows stand: those that were read, and guesses that came true. At least the last is to be
// computed.
std::size_t DraftModel::known(const Wanted& w) const {
  std::size_t known = w.memory->settled_;
  for (const TokenId id : w.memory->following_) {
    if (known + 1 >= w.ids.size() || w.ids[known] != id) break;
    ++known;
  }
  return std::min(known, w.ids.size() - 1);
}

bool DraftModel::grow(Memory& memory, std::size_t tokens) {
  if (tokens > static_cast<std::size_t>(runner_->context())) return false;
  const auto page = static_cast<std::size_t>(runner_->cache().page_tokens);
  if (memory.pool_ == nullptr) {
    memory.pool_ = &pool_;
    memory.pages_.reserve(static_cast<std::size_t>(runner_->context()) / page + 1);
    memory.following_.reserve(Drafts::kMost);
  }
  while (memory.pages_.size() * page < tokens) {
    if (pool_.free_pages() == 0) return false;
    memory.pages_.push_back(pool_.take());
  }
  return true;
}

void DraftModel::add_row(const Wanted& w, TokenId token, std::size_t position, bool logits) {
  rows_.push_back({.token = token,
                   .position = static_cast<std::int32_t>(position),
                   .sequence = static_cast<std::int32_t>(pages_.size()) - 1,
                   .logits = logits});
  if (logits) answered_.push_back(&w);
}

// What the runs have said and it has not read.
void DraftModel::read(std::span<Wanted> wanted) {
  std::size_t room = kReadAtOnce;
  for (Wanted& w : wanted) {
    Memory& memory = *w.memory;
    memory.settled_ = known(w);
    memory.following_.clear();
    const std::size_t end = std::min(w.ids.size(), memory.settled_ + room);
    const auto unread = w.ids.subspan(memory.settled_, end - memory.settled_);
    const auto foreign = [this](TokenId id) { return id >= vocabulary(); };
    if (unread.empty() || std::ranges::any_of(unread, foreign) || !grow(memory, end)) continue;
    room -= unread.size();
    pages_.push_back({memory.pages_});
    for (const TokenId id : unread) {
      const std::size_t at = memory.settled_++;
      add_row(w, id, at, at + 1 == w.ids.size());
    }
  }
  compute();
}

// One guess more for each run that has some and wants more.
void DraftModel::go_on(std::span<Wanted> wanted) {
  for (Wanted& w : wanted) {
    Memory& memory = *w.memory;
    const std::size_t made = w.guesses->size();
    if (made == 0 || made >= w.most || made != memory.following_.size() + 1) continue;
    const std::size_t at = memory.settled_ + memory.following_.size();
    if (!grow(memory, at + 1)) continue;
    memory.following_.push_back(w.guesses->back());
    pages_.push_back({memory.pages_});
    add_row(w, w.guesses->back(), at, true);
  }
  compute();
}

void DraftModel::compute() {
  if (!rows_.empty()) {
    model::Step step = runner_->step(rows_, pages_);
    runner_->model().forward(step);
    std::span<float> logits = step.logits;
    for (const Wanted* w : answered_) {
      const auto own = logits.first(static_cast<std::size_t>(vocabulary()));
      w->guesses->push_back(static_cast<TokenId>(std::ranges::max_element(own) - own.begin()));
      logits = logits.subspan(own.size());
    }
  }
  rows_.clear(), pages_.clear(), answered_.clear();
}

void DraftModel::guess(std::span<Wanted> wanted) {
  read(wanted);
  const auto most = std::ranges::max_element(wanted, {}, &Wanted::most);
  for (std::size_t made = 1; most != wanted.end() && made < most->most; ++made) go_on(wanted);
}

}  // namespace fathom::engine
