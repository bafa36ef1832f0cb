// Between the engine's thread, which must never wait, and a connection, which may be slow.
#include "server/run_group.h"

#include <algorithm>
#include <mutex>

#include "server/answer_writer.h"
#include "server/request_record.h"

namespace fathom::server {

namespace {

// What a connection may leave unread. A reader that is alive takes it at every write; one that is not loses the
// connection at the write deadline, long before a model fills this with text. Log-probabilities of twenty tokens at
// each step are the fastest way to it: about 1 KB a token.
constexpr std::size_t kMaxWaitingBytes = std::size_t{8} << 20;

std::size_t approximate_bytes(const engine::AnswerDelta& delta) {
  std::size_t bytes = sizeof(ChoiceDelta) + delta.reasoning.size() + delta.content.size();
  for (const engine::ToolCallDelta& call : delta.tool_calls)
    bytes += sizeof(call) + call.name.size() + call.arguments.size();
  for (const engine::AnswerToken& token : delta.tokens)
    bytes += sizeof(token) + token.top.size() * sizeof(engine::TokenLogprob);
  return bytes;
}

std::size_t prompt_tokens(const engine::LoadedModel& model, const engine::AnswerRequest& request) {
  return request.prompt_ids.empty() ? model.tokenizer().encode(request.prompt.prompt).size()
                                    : request.prompt_ids.size();
}

ApiError refusal(const engine::LoadedModel& model, const RunGroup::Plan& plan, const base::Error& error) {
  const int limit = model.context_length();
  const auto prompt = static_cast<int>(prompt_tokens(model, plan.answer));
  if (prompt == 0) {
    return {.status = 400,
            .message = fmt::format("{}: empty, and there is nothing to continue", plan.prompt_field),
            .param = std::string(plan.prompt_field),
            .code = "invalid_value"};
  }
  if (prompt < limit) return {.status = 503, .message = error.message, .code = "overloaded"};
  return {.status = 400,
          .message = fmt::format("{}: {} tokens long, and the context of {} holds {}, an answer of at least one "
                                 "included: at most {} tokens fit, so leave out {}",
                                 plan.prompt_field, prompt, model.name(), limit, limit - 1, prompt - (limit - 1)),
          .param = std::string(plan.prompt_field),
          .code = "context_length_exceeded"};
}

}  // namespace

struct RunGroup::Inbox {
  std::mutex mutex;
  std::vector<ChoiceDelta> waiting;
  std::size_t bytes = 0;
  bool overflowed = false;
  std::function<void()> wake;

  void put(int choice, const engine::AnswerDelta& delta) {
    const std::lock_guard lock(mutex);
    if (overflowed) return;
    bytes += approximate_bytes(delta);
    overflowed = bytes > kMaxWaitingBytes && delta.finish == engine::FinishReason::kNone;
    waiting.push_back({choice, delta});
    if (overflowed) {
      waiting.back().delta.finish = engine::FinishReason::kFailed;
      waiting.back().delta.error = "the answer was not read fast enough";
    }
    if (waiting.size() == 1 && wake) wake();
  }
};

RunGroup::RunGroup(const RouteContext& context, ModelUse model, std::shared_ptr<Inbox> inbox)
    : metering_(context.metering.get()),
      caller_(context.caller),
      record_(context.record),
      model_(std::move(model)),
      inbox_(std::move(inbox)) {
  if (record_) record_->model = model_->name();
}

ApiResult<RunGroup> RunGroup::start(const RouteContext& context, ModelUse model, Plan plan) {
  RunGroup group(context, std::move(model), std::make_shared<Inbox>());
  if (auto error = group.add(std::move(plan))) return std::unexpected(std::move(*error));
  return group;
}

std::optional<ApiError> RunGroup::add(Plan plan) {
  const auto first = static_cast<int>(runs_.size());
  auto booking = metering_->book(caller_, plan.choices);
  if (!booking) return booking.error();
  bookings_.push_back(std::move(*booking));
  plan.answer.owner = caller_.owner();
  for (int i = 0; i < plan.choices; ++i) {
    shares_.push_back({.opens_request = shares_.empty(), .opens_prompt = i == 0});
    engine::AnswerRequest answer = plan.answer;
    if (plan.seeded) answer.sampling.seed += static_cast<std::uint64_t>(i);
    const auto sink = [inbox = inbox_, choice = first + i](const engine::AnswerDelta& delta) {
      inbox->put(choice, delta);
    };
    const auto run = engine::start_answer(*model_, std::move(answer), sink);
    if (!run) return refusal(*model_, plan, run.error());
    runs_.push_back(*run);
  }
  return std::nullopt;
}

RunGroup::~RunGroup() {
  if (!inbox_) return;  // moved from
  set_wake({});
  for (const engine::RunId run : runs_) model_->engine().cancel(run);
  take();
  // What was cut off is paid as far as it came.
  for (Share& share : shares_)
    if (!share.paid) pay(share);
}

void RunGroup::note_use(Share& share, const engine::AnswerDelta& delta) {
  const engine::RunStatistics& s = delta.statistics;
  share.used = counts_of(s, delta.reasoning_tokens);
  if (!share.opens_request) share.used.requests = 0;
  if (!share.opens_prompt) share.used.cache_hit_tokens = share.used.cache_miss_tokens = 0;
  if (record_) {
    record_->queue_seconds = std::max(record_->queue_seconds, s.queue_seconds);
    record_->first_token_seconds = std::max(record_->first_token_seconds, s.queue_seconds + s.prefill_seconds);
    if (const auto failure = failure_of(delta)) record_->error = failure->code;
  }
  if (delta.finish != engine::FinishReason::kNone && !std::exchange(share.paid, true)) pay(share);
}

// What gave no token costs nothing: its turn had not come, or it failed.
void RunGroup::pay(Share& share) {
  if (share.used.output_tokens == 0) return;
  bookings_.front().pay(model_->name(), share.used);
  if (!record_) return;
  UsageCounts& sum = record_->used;
  sum.cache_hit_tokens += share.used.cache_hit_tokens;
  sum.cache_miss_tokens += share.used.cache_miss_tokens;
  sum.output_tokens += share.used.output_tokens;
  sum.reasoning_tokens += share.used.reasoning_tokens;
}

void RunGroup::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(inbox_->mutex);
  inbox_->wake = std::move(wake);
  if (inbox_->wake && !inbox_->waiting.empty()) inbox_->wake();
}

std::vector<ChoiceDelta> RunGroup::take() {
  std::vector<ChoiceDelta> arrived;
  {
    const std::lock_guard lock(inbox_->mutex);
    inbox_->bytes = 0;
    arrived = std::exchange(inbox_->waiting, {});
  }
  for (const ChoiceDelta& a : arrived) note_use(shares_[static_cast<std::size_t>(a.choice)], a.delta);
  return arrived;
}

}  // namespace fathom::server
