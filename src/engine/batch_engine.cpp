#include "engine/batch_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "engine/cache_identity.h"
#include "engine/score.h"

namespace fathom::engine {

using base::fail;
using base::Result;
using tokens::TokenId;

namespace {

using Clock = Sequence::Clock;

// How often an engine with nothing else to do looks whether the disk cache's writer takes more.
constexpr std::chrono::milliseconds kWriterPoll(5);
// How long it goes on giving pages to the writer when it is to end.
constexpr std::chrono::seconds kLastWrites(3);
// Runs that wait beyond this are refused: whoever asks is better told than kept for minutes.
constexpr std::size_t kLongestQueue = 256;

double seconds(auto duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Result<std::unique_ptr<BatchEngine>> BatchEngine::make(Runner& runner, std::vector<TokenId> undefined,
                                                       EngineOptions options) {
  const auto& cache = runner.cache();
  const std::int64_t one = (runner.context() + cache.page_tokens - 1) / cache.page_tokens;
  const auto budget = static_cast<std::int64_t>(runner.cache_budget() / cache.page_bytes());
  auto pages = PrefixCache::make(
      cache.page_bytes(), std::max(one, std::min<std::int64_t>(budget, one * static_cast<std::int64_t>(kMostRunning))),
      cache.page_tokens, static_cast<std::int64_t>(runner.kept_budget() / cache.page_bytes()));
  if (!pages) return std::unexpected(pages.error());
  Scheduler scheduler(std::move(*pages), {.cell = runner.prefill_cell(),
                                          .two_forms = runner.two_forms(),
                                          .share_prefixes = options.share_prefixes,
                                          .disk = options.disk,
                                          .model = options.disk ? cache_identity(runner) : PageKey{}});
  return std::unique_ptr<BatchEngine>(new BatchEngine(runner, std::move(scheduler), std::move(undefined), options));
}

BatchEngine::BatchEngine(Runner& runner, Scheduler scheduler, std::vector<TokenId> undefined,
                         const EngineOptions& options)
    : runner_(runner),
      undefined_(std::move(undefined)),
      queue_limit_(options.queue_limit),
      draft_model_(options.draft),
      scheduler_(std::move(scheduler)),
      speculate_(options.speculate) {
  wanted_.reserve(kMostRunning);
  rows_.reserve(kStepRows + kMostRunning);
  step_pages_.reserve(kMostRunning);
  computed_before_.reserve(kMostRunning);
  draft_rows_.reserve(kStepRows + kMostRunning);
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
  const std::size_t waiting = submitted_.size() + static_cast<std::size_t>(status_.waiting);
  if (waiting >= kLongestQueue) return fail("{} requests are waiting already: try again later", waiting);
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

EngineStatus BatchEngine::status() const {
  const std::scoped_lock lock(mutex_);
  EngineStatus now = status_;
  now.waiting += static_cast<std::int64_t>(submitted_.size());
  return now;
}

// Waits while there is nothing to do; false when the engine is to end.
bool BatchEngine::take_messages(std::stop_token stop) {
  const bool unwritten = scheduler_.write_behind();
  std::unique_lock lock(mutex_);
  const auto submitted = [&] { return !submitted_.empty(); };
  if (scheduler_.idle()) {
    if (unwritten) {
      wake_.wait_for(lock, stop, kWriterPoll, submitted);
    } else {
      wake_.wait(lock, stop, submitted);
    }
  }
  if (stop.stop_requested()) return false;
  for (auto& sequence : submitted_) scheduler_.enter(std::move(sequence));
  submitted_.clear();
  status_.waiting = static_cast<std::int64_t>(scheduler_.waiting());
  for (const RunId id : cancelled_)
    scheduler_.each([id](Sequence& s) {
      if (s.id == id) s.cancelled = true;
    });
  cancelled_.clear();
  return true;
}

std::size_t BatchEngine::guesses_worth(const Sequence& s, std::size_t streams) const {
  if (speculate_ == Speculate::kNever) return 0;
  if (speculate_ == Speculate::kAlways) return Drafts::kMost;
  return draft_cost_.worth(s.drafts.share, streams);
}

// Guesses what the runs of a step will say. Where prompts are read there are none: what they cost could not be told.
void BatchEngine::guess() {
  const auto start = Clock::now();
  wanted_.clear();
  const std::size_t streams = scheduler_.decoding();
  std::size_t room = streams == scheduler_.running() ? kMostRunning - streams : 0;  // rows with logits
  for (const auto& s : scheduler_.running_list()) {
    const auto left = static_cast<std::size_t>(std::max<std::int64_t>(0, s->limit - s->size() - 1));
    const std::size_t most = std::min({room, left, guesses_worth(*s, streams)});
    if (draft_model_) {
      if (most > 0) wanted_.push_back({s->ids, most, &s->draft_memory, &s->drafts.tokens});
      room -= most;
      continue;
    }
    engine::guess(s->ids, std::exchange(s->drafts.own, -1), most, s->drafts.tokens);
    room -= s->drafts.tokens.size();
  }
  if (!wanted_.empty()) draft_model_->guess(wanted_);
  guess_seconds_ = seconds(Clock::now() - start);
}

void BatchEngine::build_step() {
  rows_.clear(), step_pages_.clear();
  guess();
  parts_ = scheduler_.next_step(pace_.prompt_rows(scheduler_.decoding()));
  const std::int64_t page = runner_.cache().page_tokens;
  for (const auto& [sequence, rows] : parts_) {
    const Sequence& s = *sequence;
    const auto index = static_cast<std::int32_t>(step_pages_.size());
    step_pages_.push_back({s.pages});
    for (std::int64_t at = s.computed; at < s.computed + rows; ++at)
      rows_.push_back({.token = at < s.size() ? s.ids[static_cast<std::size_t>(at)]
                                              : s.drafts.tokens[static_cast<std::size_t>(at - s.size())],
                       .position = static_cast<std::int32_t>(at),
                       .sequence = index,
                       .prefill = s.expanded[static_cast<std::size_t>(at / page)] != 0,
                       .logits = at + 1 >= s.size()});
  }
}

void BatchEngine::run_step() {
  const auto start = Clock::now();
  std::size_t streams = 0, drafts = 0;
  for (const auto& part : parts_) {
    streams += part.sequence->decoding() ? 1 : 0;
    drafts += part.sequence->drafts.tokens.size();
  }
  model::Step step = runner_.step(rows_, step_pages_);
  runner_.model().forward(step);
  const double took = seconds(Clock::now() - start);
  const std::size_t prompt_rows = rows_.size() - streams - drafts;
  if (drafts == 0) pace_.record(took, streams, static_cast<std::int64_t>(prompt_rows));
  if (prompt_rows == 0) draft_cost_.record(took + (drafts > 0 ? guess_seconds_ : 0), streams, drafts);
  std::span<float> logits = step.logits;
  computed_before_.clear();
  for (const auto& [sequence, rows] : parts_) {
    computed_before_.push_back(sequence->computed);
    logits = logits.subspan(take(*sequence, rows, logits));
  }
  if (speculate_ != Speculate::kNever && !draft_model_ && runner_.model().drafts() > 0) draft(step.hidden);
}

// The model's own layer for the token after next (MTP) follows every row that stands, so that it knows what came
// before, and guesses for runs that decode. A page's last row of that layer depends on a token that the page's key does
// not tell: after another token it is a guess made of a little less, never a wrong answer.
void BatchEngine::draft(const float* hidden) {
  draft_rows_.clear();
  const std::int64_t dim = runner_.model().config().dim;
  float* followed = runner_.resources().arena->array<float>(static_cast<std::int64_t>(rows_.size()) * dim);
  std::size_t row = 0;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const Sequence& s = *parts_[part].sequence;
    const std::int64_t end = s.finished ? computed_before_[part] : s.computed;
    for (std::int64_t at = computed_before_[part]; at < end; ++at) {
      const auto from = row + static_cast<std::size_t>(at - computed_before_[part]);
      std::copy_n(hidden + static_cast<std::int64_t>(from) * dim, dim,
                  followed + static_cast<std::int64_t>(draft_rows_.size()) * dim);
      model::Row r = rows_[from];
      r.token = s.ids[static_cast<std::size_t>(at) + 1];
      r.logits = at + 1 == end && s.decoding() && guesses_worth(s, scheduler_.decoding()) > 0;
      draft_rows_.push_back(r);
    }
    row += static_cast<std::size_t>(parts_[part].rows);
  }
  if (draft_rows_.empty()) return;
  model::Step step(runner_.resources(), draft_rows_, step_pages_);
  runner_.model().draft(step, followed);
  const auto vocabulary = static_cast<std::size_t>(runner_.model().config().vocabulary);
  std::span<float> logits = step.logits;
  for (const model::Row& r : draft_rows_) {
    if (!r.logits) continue;
    const auto own = logits.first(vocabulary);
    parts_[static_cast<std::size_t>(r.sequence)].sequence->drafts.own =
        static_cast<TokenId>(std::ranges::max_element(own) - own.begin());
    logits = logits.subspan(vocabulary);
  }
}

// A run's rows were computed: samples from those with logits, as long as the drafts were right. Returns how many
// numbers of `logits` were the run's.
std::size_t BatchEngine::take(Sequence& s, std::int64_t rows, std::span<float> logits) {
  const auto vocabulary = static_cast<std::size_t>(runner_.model().config().vocabulary);
  const std::size_t drafts = s.drafts.tokens.size();
  scheduler_.advance(s, rows - static_cast<std::int64_t>(drafts));
  if (s.computed < s.size()) return 0;
  s.statistics.drafted_tokens += static_cast<int>(drafts);
  drafted_tokens_ += drafts;
  deliver(s, logits.first(vocabulary));
  std::size_t right = 0;
  while (right < drafts && !s.finished && s.ids.back() == s.drafts.tokens[right]) {
    ++right;
    ++s.statistics.accepted_tokens;
    ++accepted_tokens_;
    scheduler_.advance(s, 1);
    deliver(s, logits.subspan(right * vocabulary, vocabulary));
  }
  s.drafts.judge(right);
  return (1 + drafts) * vocabulary;
}

void BatchEngine::deliver(Sequence& s, std::span<float> logits) {
  const auto now = Clock::now();
  if (s.statistics.generated_tokens == 0) {
    s.first_token = now;
    s.statistics.prefill_seconds = seconds(now - s.admitted);
    first_token_.record(seconds(now - s.submitted));
  } else {
    between_tokens_.record(seconds(now - s.last_token));
  }
  s.last_token = now;
  for (const TokenId id : undefined_) logits[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
  TokenEvent event;
  const int wanted = s.run.sampling.top_logprobs;
  // Log-probabilities are the model's own: before bias, penalties and temperature.
  if (wanted > 0)
    for (const auto& [id, p] : top_log_probabilities(logits, wanted)) event.top.push_back({id, p});
  std::vector<float> own;
  if (wanted >= 0) own.assign(logits.begin(), logits.end());
  if (Constraint* constraint = s.run.constraint.get()) {
    const auto allowed = constraint->allowed();
    if (!allowed.empty() && !keep_allowed(logits, allowed))
      return finish(s,
                    {.finish = FinishReason::kFailed, .error = "the answer's grammar leaves no token to go on with"});
  }
  event.token = s.sampler->sample(logits);
  if (!std::isfinite(logits[static_cast<std::size_t>(event.token)]))
    return finish(s, {.finish = FinishReason::kFailed,
                      .error = "the model computes no number any more: its file is damaged, or not what it says"});
  if (wanted >= 0) event.logprob = log_probability(own, event.token);
  s.sampler->accept(event.token);
  if (s.run.constraint) FATHOM_CHECK(s.run.constraint->accept(event.token));
  s.ids.push_back(event.token);
  ++s.statistics.generated_tokens;
  ++generated_tokens_;
  s.statistics.decode_seconds = seconds(now - s.first_token);
  // Where a grammar lets an answer end it ends: what came behind a stop token would be outside the grammar.
  const bool may_stop = !s.run.ignore_stop || s.run.constraint;
  const bool stop = may_stop && std::ranges::find(s.run.stop_tokens, event.token) != s.run.stop_tokens.end();
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

// Ends runs that have waited for their first turn beyond the limit.
void BatchEngine::end_overdue() {
  const auto oldest = Clock::now() - queue_limit_;
  for (const auto& s : scheduler_.waiting_list()) {
    if (s->admitted != Clock::time_point{} || s->submitted > oldest || s->finished) continue;
    ++expired_;
    finish(*s, {.finish = FinishReason::kExpired,
                .error = fmt::format("the request's turn did not come within {} s: try again later",
                                     seconds(queue_limit_))});
  }
}

// Ends cancelled runs and gives back the pages of all that ended.
void BatchEngine::end_cancelled() {
  scheduler_.each([this](Sequence& s) {
    if (s.cancelled) finish(s, {.finish = FinishReason::kCancelled});
  });
  scheduler_.retire();
}

// So that conversations go on after a restart.
void BatchEngine::write_rest() {
  const auto end = Clock::now() + kLastWrites;
  while (scheduler_.write_behind() && Clock::now() < end) std::this_thread::sleep_for(kWriterPoll);
}

void BatchEngine::publish_status() {
  const PrefixCache& cache = scheduler_.cache();
  const std::scoped_lock lock(mutex_);
  status_.waiting = static_cast<std::int64_t>(scheduler_.waiting());
  status_.running = static_cast<std::int64_t>(scheduler_.running());
  status_.pages = cache.all_pages();
  status_.pages_kept = cache.kept_pages();
  status_.pages_in_use = cache.all_pages() - cache.available();
  status_.page_tokens = cache.page_tokens();
  status_.page_bytes = static_cast<std::int64_t>(runner_.cache().page_bytes());
  status_.prompt_tokens = scheduler_.counts().prompt_tokens;
  status_.prompt_tokens_reused = scheduler_.counts().reused_tokens;
  status_.pages_from_memory = scheduler_.counts().pages_from_memory;
  status_.pages_from_disk = scheduler_.counts().pages_from_disk;
  status_.set_aside = scheduler_.counts().set_aside;
  status_.generated_tokens = generated_tokens_;
  status_.drafted_tokens = drafted_tokens_;
  status_.accepted_tokens = accepted_tokens_;
  status_.expired = expired_;
  status_.first_token = first_token_;
  status_.between_tokens = between_tokens_;
}

// Where memory is at its limit the runs at hand fail, and the engine goes on with what comes after.
void BatchEngine::step_or_fail() {
  try {
    build_step();
    run_step();
  } catch (const std::bad_alloc&) {
    for (const auto& s : scheduler_.running_list())
      finish(*s, {.finish = FinishReason::kFailed,
                  .error = "no memory is left for this answer: ask for less at once, or raise the limit"});
  }
}

void BatchEngine::loop(std::stop_token stop) {
  publish_status();
  while (take_messages(stop)) {
    end_overdue();
    end_cancelled();
    scheduler_.admit();
    if (scheduler_.running() > 0) {
      step_or_fail();
      end_cancelled();
    }
    publish_status();
  }
  // Whoever still waits is told.
  {
    const std::scoped_lock lock(mutex_);
    for (auto& s : submitted_) scheduler_.enter(std::move(s));
    submitted_.clear();
  }
  scheduler_.each([](Sequence& s) { s.cancelled = true; });
  end_cancelled();
  write_rest();
}

}  // namespace fathom::engine
