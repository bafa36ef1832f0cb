#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "engine/owner.h"
#include "engine/reusable_prefix.h"
#include "engine/runner.h"

namespace fathom::engine {

using tokens::TokenId;

namespace {

// While streams wait, pages are read from disk for so long in one step; the rest follows in the next.
constexpr std::chrono::milliseconds kReadingBesideStreams(20);

}  // namespace

Scheduler::Scheduler(PrefixCache cache, Options options)
    : cache_(std::move(cache)),
      disk_(std::move(options.disk), options.model, cache_),
      cell_(options.cell),
      two_forms_(options.two_forms),
      share_prefixes_(options.share_prefixes) {
  running_.reserve(kMostRunning);
  parts_.reserve(kMostRunning);
}

std::int64_t Scheduler::pages_for(std::int64_t tokens) const {
  return (tokens + cache_.page_tokens() - 1) / cache_.page_tokens();
}

std::span<const TokenId> Scheduler::page_of(const Sequence& s, std::size_t page) const {
  const auto n = static_cast<std::size_t>(cache_.page_tokens());
  return std::span(s.ids).subspan(page * n, n);
}

std::size_t Scheduler::decoding() const {
  return static_cast<std::size_t>(std::ranges::count_if(running_, [](const auto& s) { return s->decoding(); }));
}

namespace {

// Runs are few, and most come in order: a place is found from the end.
void insert_by_age(std::vector<std::unique_ptr<Sequence>>& list, std::unique_ptr<Sequence> sequence) {
  auto at = list.end();
  while (at != list.begin() && (*(at - 1))->id > sequence->id) --at;
  list.insert(at, std::move(sequence));
}

}  // namespace

void Scheduler::enter(std::unique_ptr<Sequence> sequence) {
  Sequence& s = *sequence;
  const auto [at, is_new] = owners_.try_emplace(s.run.owner, Owner{.name = s.run.owner});
  s.owner = &at->second;
  // Who comes anew waits for one turn of the others; who left and came back gains nothing by it.
  if (is_new) s.owner->turn = ++turn_;
  ++s.owner->runs;
  const std::int64_t pages = pages_for(s.limit);
  s.pages.reserve(static_cast<std::size_t>(pages));
  for (std::int64_t p = 0; p < pages; ++p)
    s.expanded.push_back(two_forms_ &&
                         in_full_cell(p * cache_.page_tokens(), s.prompt_size(), static_cast<int>(cell_)));
  insert_by_age(waiting_, std::move(sequence));
}

void Scheduler::each(base::FunctionRef<void(Sequence&)> visit) {
  for (auto& s : waiting_) visit(*s);
  for (auto& s : running_) visit(*s);
}

// Whether all its tokens so far fit, beside what the running ones have still to read and a page for each to go on.
bool Scheduler::has_room(const Sequence& sequence) const {
  if (running_.empty()) return true;
  if (running_.size() >= kMostRunning) return false;
  std::int64_t promised = 0;
  for (const auto& s : running_)
    promised += 1 + std::max<std::int64_t>(0, pages_for(s->size()) - static_cast<std::int64_t>(s->pages.size()));
  return pages_for(sequence.size()) + 1 + promised <= cache_.available();
}

void Scheduler::admit() {
  while (!waiting_.empty()) {
    const auto next = std::ranges::min_element(waiting_, {}, [](const auto& s) { return s->owner->running; });
    if (!has_room(**next)) return;
    ++(*next)->owner->running;
    if ((*next)->admitted == Sequence::Clock::time_point{}) {
      (*next)->admitted = Sequence::Clock::now();
      (*next)->statistics.queue_seconds = std::chrono::duration<double>((*next)->admitted - (*next)->submitted).count();
    }
    insert_by_age(running_, std::move(*next));
    waiting_.erase(next);
  }
}

// Pages for the first `tokens` tokens; false when there are none left.
bool Scheduler::grow(Sequence& s, std::int64_t tokens) {
  while (static_cast<std::int64_t>(s.pages.size()) < pages_for(tokens)) {
    std::byte* page = cache_.take();
    if (page == nullptr) return false;
    s.pages.push_back(page);
  }
  return true;
}

std::optional<bool> Scheduler::kept(const PageKey& key, std::span<const TokenId> tokens) const {
  if (const auto found = cache_.find(key, tokens)) return found->answer;
  return disk_.find(key);
}

// Looks for what is kept of a run's tokens. That is done when its first turn has come: another may have read them just
// before.
void Scheduler::plan(Sequence& s) const {
  s.planned = true;
  s.prefix.clear();
  s.key = first_key(disk_.model(), share_prefixes_ ? "" : s.run.owner);
  if (!s.set_aside) {
    s.prefix = reusable_prefix(s.run.prompt, s.key, cache_.page_tokens(), s.expanded,
                               [&](const PageKey& key, std::span<const TokenId> tokens) { return kept(key, tokens); });
    return;
  }
  PageKey key = s.key;  // the same rows again, in the forms they had
  for (std::size_t p = 0; static_cast<std::int64_t>(p + 1) * cache_.page_tokens() < s.size(); ++p) {
    const bool expanded = s.expanded[p] != 0;
    key = next_key(key, page_of(s, p), expanded);
    if (!kept(key, page_of(s, p))) return;
    s.prefix.push_back({.key = key, .expanded = expanded, .end = true});
  }
}

Scheduler::Taken Scheduler::take_kept(Sequence& s, const PrefixPage& wanted) {
  const auto tokens = page_of(s, s.full_pages);
  std::byte* page = nullptr;
  if (const auto found = cache_.find(wanted.key, tokens)) {
    page = found->page;
    cache_.hold(page);
    disk_.touch(wanted.key);
    ++counts_.pages_from_memory;
  } else if (const auto answer = disk_.find(wanted.key)) {
    page = cache_.take();
    if (page == nullptr) return Taken::kNoPage;
    if (!disk_.read(wanted.key, *answer, tokens, cache_.bytes(page))) {
      cache_.release({&page, 1});
      return Taken::kGone;
    }
    page = cache_.keep(page, wanted.key, tokens, *answer);
    ++counts_.pages_from_disk;
  } else {
    return Taken::kGone;
  }
  s.pages.push_back(page);
  ++s.full_pages;
  return Taken::kYes;
}

// Takes the pages that a run begins with. False: not all are there yet.
bool Scheduler::begin(Sequence& s, bool beside_streams) {
  if (!s.planned) plan(s);
  const auto start = Sequence::Clock::now();
  while (s.full_pages < s.prefix.size()) {
    if (beside_streams && Sequence::Clock::now() - start > kReadingBesideStreams) return false;
    const Taken taken = take_kept(s, s.prefix[s.full_pages]);
    if (taken == Taken::kNoPage) return false;
    if (taken == Taken::kGone) {
      std::size_t end = s.full_pages;
      while (end > 0 && !s.prefix[end - 1].end) --end;
      cache_.release(std::span(s.pages).subspan(end));
      s.pages.resize(end);
      s.full_pages = end;
      s.prefix.resize(end);
    }
  }
  s.begun = true;
  for (std::size_t p = 0; p < s.full_pages; ++p) s.expanded[p] = s.prefix[p].expanded;
  if (s.full_pages > 0) s.key = s.prefix.back().key;
  s.computed = static_cast<std::int64_t>(s.full_pages) * cache_.page_tokens();
  begin_last_page(s);
  if (s.set_aside) return true;
  s.statistics.cached_tokens = static_cast<int>(s.computed);
  counts_.prompt_tokens += static_cast<std::uint64_t>(s.prompt_size());
  counts_.reused_tokens += static_cast<std::uint64_t>(s.computed);
  return true;
}

// Behind the full pages: a copy of the longest kept page that is not full, where the run would compute its rows in the
// same form. A page has one form, so that its key can tell it.
void Scheduler::begin_last_page(Sequence& s) {
  const auto rest = std::span<const TokenId>(s.ids).subspan(static_cast<std::size_t>(s.computed));
  const auto most = static_cast<std::size_t>(cache_.page_tokens() - 1);
  for (std::size_t count = std::min(most, rest.size() - 1); count > 0; --count) {
    const auto tokens = rest.first(count);
    const PageKey key = next_key(s.key, tokens, s.expanded[s.full_pages] != 0);
    const auto found = cache_.find(key, tokens);
    const auto on_disk = found ? std::nullopt : disk_.find(key);
    if (!found && !on_disk) continue;
    if (found) cache_.hold(found->page);  // so that it is not the one that makes room
    std::byte* page = cache_.take();
    bool here = page != nullptr;
    if (found) {
      if (here) std::ranges::copy(cache_.bytes(found->page), page);
      cache_.release({&found->page, 1});
      counts_.pages_from_memory += here ? 1 : 0;
    } else if (here) {
      here = disk_.read(key, *on_disk, tokens, cache_.bytes(page));
      counts_.pages_from_disk += here ? 1 : 0;
      if (!here) cache_.release({&page, 1});
    }
    if (!here) return;
    s.pages.push_back(page);
    s.computed += static_cast<std::int64_t>(count);
    return;
  }
}

// What a run leaves behind its full pages: the beginning of its conversation's next page.
void Scheduler::keep_last_page(Sequence& s) {
  const auto before = static_cast<std::int64_t>(s.full_pages) * cache_.page_tokens();
  if (!s.begun || s.computed <= before) return;
  const auto tokens = std::span<const TokenId>(s.ids).subspan(static_cast<std::size_t>(before),
                                                              static_cast<std::size_t>(s.computed - before));
  const PageKey key = next_key(s.key, tokens, s.expanded[s.full_pages] != 0);
  std::byte*& page = s.pages[s.full_pages];
  page = cache_.keep(page, key, tokens, s.computed > s.prompt_size());
  if (!stays_in_memory(s.run.owner)) disk_.add(page, key);
}

// The youngest gives its pages up. What they hold stays kept while there is room, the rest is computed again.
void Scheduler::set_youngest_aside() {
  FATHOM_CHECK(running_.size() > 1);  // one run always fits: there are pages for a whole context
  Sequence& s = *running_.back();
  keep_last_page(s);
  cache_.release(s.pages);
  s.pages.clear();
  s.computed = 0;
  s.full_pages = 0;
  s.drafts.tokens.clear();
  s.drafts.own = -1;
  s.set_aside |= s.begun;
  s.planned = s.begun = false;
  --s.owner->running;
  ++counts_.set_aside;
  insert_by_age(waiting_, std::move(running_.back()));
  running_.pop_back();
}

void Scheduler::add_decoding() {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (!s.decoding()) continue;
    bool here = true;
    while (here && !grow(s, s.computed + 1)) {
      here = i + 1 < running_.size();  // else it is the youngest itself
      set_youngest_aside();
    }
    if (!here) continue;
    if (!grow(s, s.computed + 1 + static_cast<std::int64_t>(s.drafts.tokens.size()))) s.drafts.tokens.clear();
    parts_.push_back({&s, 1 + static_cast<std::int64_t>(s.drafts.tokens.size())});
  }
}

// Of the runs that are being read and had no turn in this step: the oldest of the owner whose turn is longest ago.
Sequence* Scheduler::next_reader() {
  Sequence* next = nullptr;
  for (const auto& s : running_)
    if (!s->decoding() && s->step != step_ && (next == nullptr || s->owner->turn < next->owner->turn)) next = s.get();
  return next;
}

void Scheduler::add_prompts(std::int64_t rows) {
  while (rows > 0) {
    Sequence* s = next_reader();
    if (s == nullptr) return;
    s->step = step_;
    if (!s->begun && !begin(*s, !parts_.empty())) continue;
    std::int64_t end = std::min(s->computed + rows, s->size());
    if (end < s->size() && end / cell_ * cell_ > s->computed) end = end / cell_ * cell_;
    if (!grow(*s, end)) end = std::min(end, static_cast<std::int64_t>(s->pages.size()) * cache_.page_tokens());
    if (end <= s->computed) continue;
    s->owner->turn = ++turn_;
    parts_.push_back({s, end - s->computed});
    rows -= end - s->computed;
  }
}

std::span<const Scheduler::Part> Scheduler::next_step(std::int64_t prompt_rows) {
  parts_.clear();
  ++step_;
  add_decoding();
  add_prompts(prompt_rows);
  // Only prompts, and no page for any of them: the youngest makes room until the oldest can go on.
  while (parts_.empty() && !running_.empty()) {
    set_youngest_aside();
    ++step_;
    add_prompts(std::max<std::int64_t>(1, prompt_rows));
  }
  return parts_;
}

void Scheduler::advance(Sequence& s, std::int64_t rows) {
  s.computed += rows;
  const std::int64_t page = cache_.page_tokens();
  while (static_cast<std::int64_t>(s.full_pages + 1) * page <= s.computed) {
    const std::size_t p = s.full_pages++;
    const auto tokens = page_of(s, p);
    s.key = next_key(s.key, tokens, s.expanded[p] != 0);
    s.pages[p] = cache_.keep(s.pages[p], s.key, tokens, static_cast<std::int64_t>(p + 1) * page > s.prompt_size());
    if (!stays_in_memory(s.run.owner)) disk_.add(s.pages[p], s.key);
  }
}

void Scheduler::retire() {
  const auto leave = [this](const std::unique_ptr<Sequence>& s, bool was_running) {
    if (!s->finished) return false;
    keep_last_page(*s);
    cache_.release(s->pages);
    if (was_running) --s->owner->running;
    if (--s->owner->runs == 0) owners_.erase(owners_.find(s->run.owner));
    return true;
  };
  std::erase_if(waiting_, [&](const auto& s) { return leave(s, false); });
  std::erase_if(running_, [&](const auto& s) { return leave(s, true); });
}

}  // namespace fathom::engine
