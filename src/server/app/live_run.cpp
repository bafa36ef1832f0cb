#include "server/app/live_run.h"

#include <algorithm>

namespace fathom::server::app {

namespace {

using std::chrono::steady_clock;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

std::string phase_event(const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", data.at("type").get<std::string_view>(), json_text(data));
}

}  // namespace

LiveRun::LiveRun(chat::Store& store, chat::Run run, ModelUse model, chat::Message before, int budget,
                 const PriceList* prices)
    : store_(store),
      run_(std::move(run)),
      model_(std::move(model)),
      before_(std::move(before)),
      budget_(budget),
      prices_(prices) {}

void LiveRun::set_phase(const Json& event) {
  const std::lock_guard lock(mutex_);
  phase_ = phase_event(event);
  ++phase_number_;
  wake_readers();
}

void LiveRun::submitted(engine::RunId id) {
  bool cancel = false;
  {
    const std::lock_guard lock(mutex_);
    engine_run_ = id;
    cancel = stop_asked_.has_value();
  }
  if (cancel) model_->engine().cancel(id);
}

void LiveRun::failed_to_start(chat::RunError error) {
  const std::lock_guard lock(mutex_);
  finish_ = "failed";
  log_.error = std::move(error);
}

void LiveRun::stop(Why why) {
  std::optional<engine::RunId> id;
  {
    const std::lock_guard lock(mutex_);
    if (!stop_asked_) stop_asked_ = why;
    id = engine_run_;
  }
  if (id) model_->engine().cancel(*id);
}

// Null for a model without a price, rather than 0.
Json LiveRun::cost() const {
  constexpr std::int64_t kMillion = 1'000'000;
  if (prices_ == nullptr || prices_->cost(model_->name(), kMillion, kMillion, kMillion) == 0) return nullptr;
  const UsageCounts used = counts_of(statistics_, reasoning_tokens_);
  return static_cast<double>(
             prices_->cost(model_->name(), used.cache_hit_tokens, used.cache_miss_tokens, used.output_tokens)) /
         1e9;
}

Json LiveRun::usage() const {
  const engine::RunStatistics& s = statistics_;
  const int context = model_->context_length();
  const int used = s.prompt_tokens + s.generated_tokens;
  const bool paced = s.generated_tokens > 1 && s.decode_seconds > 0;
  return {{"prompt_tokens", s.prompt_tokens},
          {"cached_tokens", s.cached_tokens},
          {"output_tokens", s.generated_tokens},
          {"reasoning_tokens", reasoning_tokens_},
          {"first_token_seconds", s.queue_seconds + s.prefill_seconds},
          {"seconds", s.decode_seconds},
          {"tokens_per_second", paced ? Json((s.generated_tokens - 1) / s.decode_seconds) : Json(nullptr)},
          {"context_length", context},
          {"context_left", std::max(context - used, 0)},
          {"cost", cost()}};
}

UsageCounts LiveRun::used() const {
  const std::lock_guard lock(mutex_);
  return counts_of(statistics_, reasoning_tokens_);
}

// Where a second run of the engine answers after the first one thought, both count as one.
void LiveRun::count(const engine::AnswerDelta& delta) {
  statistics_ = delta.statistics;
  reasoning_tokens_ = earlier_reasoning_tokens_ + delta.reasoning_tokens;
  if (earlier_.generated_tokens > 0) {
    statistics_ = earlier_;
    statistics_.generated_tokens += delta.statistics.generated_tokens;
    statistics_.decode_seconds +=
        delta.statistics.queue_seconds + delta.statistics.prefill_seconds + delta.statistics.decode_seconds;
  }
  log_.tokens = statistics_.generated_tokens;
  log_.reasoning_tokens = reasoning_tokens_;
}

LiveRun::Added LiveRun::add(const engine::AnswerDelta& delta) {
  using engine::FinishReason;
  const std::lock_guard lock(mutex_);
  count(delta);
  if (!delta.reasoning.empty() || !delta.content.empty())
    store_.append(run_.id, delta.reasoning, delta.content, log_.tokens);
  if (log_.reasoning.empty() && !delta.reasoning.empty()) first_thought_ = steady_clock::now();
  log_.reasoning += delta.reasoning;
  const bool thinks = !log_.reasoning.empty() && !log_.thought;
  if (thinks) thought_seconds_ = seconds_since(first_thought_);
  const bool cancelled = delta.finish == FinishReason::kCancelled;
  const bool goes_on = cancelled && thought_enough_ && !stop_asked_;
  if (thinks && (!delta.content.empty() || delta.finish == FinishReason::kStop || goes_on)) {
    log_.thought = true;
    log_.reasoning_seconds = before_.reasoning_seconds.value_or(0) + thought_seconds_;
  }
  log_.content += delta.content;
  if (log_.position() > 0) phase_.clear();
  wake_readers();
  if (goes_on) return Added::kThoughtEnough;
  if (delta.finish == FinishReason::kNone) {
    const bool enough = thinks && !log_.thought && budget_ >= 0 && reasoning_tokens_ >= budget_;
    if (enough && engine_run_ && !std::exchange(thought_enough_, true)) model_->engine().cancel(*engine_run_);
    return Added::kMore;
  }
  finish_ = delta.finish == FinishReason::kStop     ? "done"
            : delta.finish == FinishReason::kLength ? "length"
            : !cancelled                            ? "failed"
            : stop_asked_ == Why::kPerson           ? "stopped"
                                                    : "interrupted";
  if (finish_ == "failed")
    log_.error = chat::RunError{delta.finish == FinishReason::kExpired ? "queue_full" : "model_failed", delta.error};
  log_.usage = usage();
  return Added::kLast;
}

tokens::Rendered LiveRun::resume_prompt(tokens::Rendered prompt) {
  const std::lock_guard lock(mutex_);
  earlier_ = statistics_;
  earlier_reasoning_tokens_ = reasoning_tokens_;
  if (!prompt.opens_thinking) prompt.prompt.push_back({"<think>\n", true});
  prompt.prompt.push_back({log_.reasoning, false});
  prompt.prompt.push_back({"\n</think>\n\n", true});
  // It may have come to its end by itself before the engine heard of the budget.
  if (!log_.content.empty()) prompt.prompt.push_back({log_.content, false});
  thought_enough_ = false;
  prompt.opens_thinking = false;
  return prompt;
}

chat::EndedRun LiveRun::result() const {
  const std::lock_guard lock(mutex_);
  chat::EndedRun ended{.id = run_.id,
                       .status = finish_,
                       .content = before_.content + log_.content,
                       .reasoning = before_.reasoning,
                       .reasoning_seconds = before_.reasoning_seconds,
                       .thought = log_.thought,
                       .reasoning_tokens = log_.reasoning_tokens,
                       .tokens = log_.tokens,
                       .error = log_.error};
  if (!log_.reasoning.empty()) {
    ended.reasoning = before_.reasoning.value_or("") + log_.reasoning;
    ended.reasoning_seconds = before_.reasoning_seconds.value_or(0) + thought_seconds_;
  }
  if (log_.usage) ended.usage = json_text(*log_.usage);
  return ended;
}

void LiveRun::end(const chat::EndedRun& ended) {
  const std::lock_guard lock(mutex_);
  log_.ended = true;
  log_.status = ended.status;
  log_.error = ended.error;
  wake_readers();
}

RunLog LiveRun::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void LiveRun::show_in(chat::Message& message, std::int64_t& position) const {
  const std::lock_guard lock(mutex_);
  message.content = before_.content + log_.content;
  if (!log_.reasoning.empty()) message.reasoning = before_.reasoning.value_or("") + log_.reasoning;
  if (log_.thought) message.reasoning_seconds = log_.reasoning_seconds;
  position = log_.position();
}

void LiveRun::wake_readers() {
  for (const auto& [reader, wake] : wakes_) wake();
}

// ---- readers

class LiveRun::Stream final : public EventStream {
 public:
  Stream(std::shared_ptr<LiveRun> run, std::int64_t position) : run_(std::move(run)), position_(position) {}
  ~Stream() override {
    const std::lock_guard lock(run_->mutex_);
    run_->wakes_.erase(this);
  }

  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(run_->mutex_);
    run_->wakes_[this] = std::move(wake);
  }

  Events read() override {
    const std::lock_guard lock(run_->mutex_);
    Events events;
    if (!run_->phase_.empty() && phase_seen_ != run_->phase_number_) events.text = run_->phase_;
    phase_seen_ = run_->phase_number_;
    const std::int64_t now = run_->log_.position();
    if (position_ < now || run_->log_.ended) events.text += run_->log_.events_after(position_);
    position_ = std::max(position_, now);
    events.done = run_->log_.ended;
    return events;
  }

 private:
  std::shared_ptr<LiveRun> run_;
  std::int64_t position_;
  std::uint64_t phase_seen_ = 0;
};

class LiveRun::EndReply final : public LateResponse {
 public:
  explicit EndReply(std::shared_ptr<LiveRun> run) : run_(std::move(run)) {}
  ~EndReply() override {
    const std::lock_guard lock(run_->mutex_);
    run_->wakes_.erase(this);
  }

  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(run_->mutex_);
    run_->wakes_[this] = std::move(wake);
  }

  std::optional<Response> read() override {
    const std::lock_guard lock(run_->mutex_);
    if (!run_->log_.ended) return std::nullopt;
    return json_response(200, run_json(run_->run_, run_->log_));
  }

 private:
  std::shared_ptr<LiveRun> run_;
};

std::unique_ptr<EventStream> LiveRun::watch(const std::shared_ptr<LiveRun>& run, std::int64_t position) {
  return std::make_unique<Stream>(run, position);
}

std::unique_ptr<LateResponse> LiveRun::wait_for_end(const std::shared_ptr<LiveRun>& run) {
  return std::make_unique<EndReply>(run);
}

}  // namespace fathom::server::app
