#include "engine/batch_engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/score.h"

namespace fathom::engine {

using base::fail;
using base::Result;
using tokens::TokenId;

namespace {

// Runs that wait beyond this are refused: whoever asks is better told than kept for minutes.
constexpr std::size_t kLongestQueue = 256;
// Sequences of one step: beyond it the logits of a step would outgrow what the step may take of memory.
constexpr std::size_t kMostRunning = 64;

double seconds(auto duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Result<std::unique_ptr<BatchEngine>> BatchEngine::make(Runner& runner, std::vector<TokenId> undefined) {
  const auto& cache = runner.cache();
  const std::int64_t one = (runner.context() + cache.page_tokens - 1) / cache.page_tokens;
  const auto budget = static_cast<std::int64_t>(runner.cache_budget() / cache.page_bytes());
  auto pages = PagePool::make(
      cache.page_bytes(), std::max(one, std::min<std::int64_t>(budget, one * static_cast<std::int64_t>(kMostRunning))));
  if (!pages) return std::unexpected(pages.error());
  return std::unique_ptr<BatchEngine>(new BatchEngine(runner, std::move(*pages), std::move(undefined)));
}

BatchEngine::BatchEngine(Runner& runner, PagePool pages, std::vector<TokenId> undefined)
    : runner_(runner), undefined_(std::move(undefined)), pages_(std::move(pages)) {
  rows_.reserve(kStepRows + kMostRunning);
  step_pages_.reserve(kMostRunning);
  step_sequences_.reserve(kMostRunning);
  thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
}

BatchEngine::~BatchEngine() {
  thread_.request_stop();
  thread_.join();
}

Result<RunId> BatchEngine::submit(Run run, TokenSink sink) {
  const auto& config = runner_.model().config();
  if (auto ok = check_tokens(run.prompt, config.vocabulary); !ok) return std::unexpected(ok.error());
  const auto prompt = static_cast<std::int64_t>(run.prompt.size());
  if (prompt >= context_length())
    return fail(
        "the prompt has {} tokens, but the context holds {}: at least {} must go, so that one token can be answered",
        prompt, context_length(), prompt - context_length() + 1);
  auto sequence = std::make_unique<Sequence>();
  sequence->limit =
      run.max_tokens < 0 ? context_length() : std::min<std::int64_t>(context_length(), prompt + run.max_tokens);
  sequence->ids.reserve(static_cast<std::size_t>(sequence->limit));
  sequence->ids = run.prompt;
  sequence->sampler.emplace(run.sampling, config.vocabulary, run.prompt);
  sequence->statistics.prompt_tokens = static_cast<int>(prompt);
  sequence->run = std::move(run);
  sequence->sink = std::move(sink);
  sequence->submitted = Clock::now();
  const std::scoped_lock lock(mutex_);
  if (waiting_count_ >= kLongestQueue) return fail("{} requests are waiting already: try again later", waiting_count_);
  ++waiting_count_;
  const RunId id = sequence->id = next_id_++;
  submitted_.push_back(std::move(sequence));
  wake_.notify_one();
  return id;
}

void BatchEngine::cancel(RunId id) {
  const std::scoped_lock lock(mutex_);
  cancelled_.push_back(id);
  wake_.notify_one();
}

// Waits while there is nothing to do; false when the engine is to end.
bool BatchEngine::take_messages(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (running_.empty() && waiting_.empty()) wake_.wait(lock, stop, [&] { return !submitted_.empty(); });
  if (stop.stop_requested()) return false;
  for (auto& sequence : submitted_) waiting_.push_back(std::move(sequence));
  submitted_.clear();
  for (const RunId id : cancelled_) {
    const auto mark = [id](auto& list) {
      for (auto& sequence : list)
        if (sequence->id == id) sequence->cancelled = true;
    };
    mark(waiting_);
    mark(running_);
  }
  cancelled_.clear();
  return true;
}

void BatchEngine::admit() {
  while (!waiting_.empty()) {
    Sequence& next = *waiting_.front();
    const auto page = runner_.cache().page_tokens;
    const std::int64_t needed = (next.limit + page - 1) / page;
    const bool room = needed <= pages_.free_pages() && running_.size() < kMostRunning;
    if (!room && !next.cancelled) return;
    next.admitted = Clock::now();
    next.statistics.queue_seconds = seconds(next.admitted - next.submitted);
    if (!next.cancelled)
      for (std::int64_t i = 0; i < needed; ++i) next.pages.push_back(pages_.take());
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    const std::scoped_lock lock(mutex_);
    --waiting_count_;
  }
}

// Rows of this step: decoding runs first, one token each, then prompts, oldest first, up to the end of a cell.
void BatchEngine::build_step() {
  rows_.clear(), step_pages_.clear(), step_sequences_.clear();
  const auto add = [&](Sequence& s, std::int64_t count) {
    const auto index = static_cast<std::int32_t>(step_sequences_.size());
    step_sequences_.push_back(&s);
    step_pages_.push_back({s.pages});
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = s.computed + i;
      rows_.push_back({.token = s.ids[static_cast<std::size_t>(at)],
                       .position = static_cast<std::int32_t>(at),
                       .sequence = index,
                       .prefill = in_full_cell(at, s.prompt_size(), runner_.prefill_cell()),
                       .logits = at + 1 == static_cast<std::int64_t>(s.ids.size())});
    }
  };
  for (auto& s : running_)
    if (s->decoding()) add(*s, 1);
  std::int64_t left = kStepRows;
  const std::int64_t cell = runner_.prefill_cell();
  for (auto& s : running_) {
    if (s->decoding() || left <= 0) continue;
    std::int64_t end = std::min(s->computed + left, s->prompt_size());
    if (end < s->prompt_size() && end / cell * cell > s->computed) end = end / cell * cell;
    left -= end - s->computed;
    add(*s, end - s->computed);
  }
}

void BatchEngine::run_step() {
  model::Step step = runner_.step(rows_, step_pages_);
  runner_.model().forward(step);
  const auto vocabulary = static_cast<std::size_t>(runner_.model().config().vocabulary);
  std::size_t with_logits = 0;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    Sequence& s = *step_sequences_[static_cast<std::size_t>(rows_[row].sequence)];
    ++s.computed;
    if (rows_[row].logits) deliver(s, step.logits.subspan(with_logits++ * vocabulary, vocabulary));
  }
}

void BatchEngine::deliver(Sequence& s, std::span<float> logits) {
  const auto now = Clock::now();
  if (s.statistics.generated_tokens == 0) {
    s.first_token = now;
    s.statistics.prefill_seconds = seconds(now - s.admitted);
  }
  for (const TokenId id : undefined_) logits[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
  TokenEvent event;
  const int wanted = s.run.sampling.top_logprobs;
  // Log-probabilities are the model's own: before bias, penalties and temperature.
  if (wanted > 0)
    for (const auto& [id, p] : top_log_probabilities(logits, wanted)) event.top.push_back({id, p});
  std::vector<float> own;
  if (wanted >= 0) own.assign(logits.begin(), logits.end());
  event.token = s.sampler->sample(logits);
  if (wanted >= 0) event.logprob = log_probability(own, event.token);
  s.sampler->accept(event.token);
  s.ids.push_back(event.token);
  ++s.statistics.generated_tokens;
  s.statistics.decode_seconds = seconds(now - s.first_token);
  const bool stop = !s.run.ignore_stop && std::ranges::find(s.run.stop_tokens, event.token) != s.run.stop_tokens.end();
  if (stop) {
    event.finish = FinishReason::kStop;
  } else if (static_cast<std::int64_t>(s.ids.size()) >= s.limit) {
    event.finish = FinishReason::kLength;
  }
  if (event.finish != FinishReason::kNone) {
    finish(s, std::move(event));
  } else if (!s.sink(event, s.statistics)) {
    s.finished = true;
  }
}

void BatchEngine::finish(Sequence& s, TokenEvent event) {
  if (std::exchange(s.finished, true)) return;
  s.sink(event, s.statistics);
}

// Ends cancelled runs and gives back the pages of all that ended.
void BatchEngine::retire() {
  for (auto it = running_.begin(); it != running_.end();) {
    Sequence& s = **it;
    if (s.cancelled) finish(s, {.finish = FinishReason::kCancelled});
    if (!s.finished) {
      ++it;
      continue;
    }
    pages_.give_back(s.pages);
    it = running_.erase(it);
  }
}

void BatchEngine::loop(std::stop_token stop) {
  while (take_messages(stop)) {
    admit();
    retire();
    if (running_.empty()) continue;
    build_step();
    run_step();
    retire();
  }
  // Whoever still waits is told.
  {
    const std::scoped_lock lock(mutex_);
    for (auto& s : submitted_) running_.push_back(std::move(s));
    submitted_.clear();
  }
  for (auto& s : waiting_) running_.push_back(std::move(s));
  waiting_.clear();
  for (auto& s : running_) s->cancelled = true;
  retire();
}

}  // namespace fathom::engine
