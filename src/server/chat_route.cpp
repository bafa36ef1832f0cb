// POST /v1/chat/completions: a request becomes runs, their deltas become a response or a stream.
#include <openssl/rand.h>

#include <array>
#include <chrono>

#include "server/chat_answer.h"
#include "server/chat_request.h"
#include "server/field_reader.h"
#include "server/routes.h"
#include "server/run_group.h"

namespace fathom::server {

namespace {

class ChatStream final : public EventStream {
 public:
  ChatStream(RunGroup runs, AnswerHead head, const tokens::Tokenizer& tokenizer)
      : runs_(std::move(runs)), writer_(std::move(head), tokenizer) {}

  void set_wake(std::function<void()> wake) override { runs_.set_wake(std::move(wake)); }

  Events read() override {
    Events events;
    if (!opened_) events.text = writer_.open();
    opened_ = true;
    for (const ChoiceDelta& arrived : runs_.take()) events.text += writer_.write(arrived.choice, arrived.delta);
    events.done = writer_.done();
    return events;
  }

 private:
  RunGroup runs_;
  ChunkWriter writer_;
  bool opened_ = false;
};

class ChatResponse final : public LateResponse {
 public:
  ChatResponse(RunGroup runs, AnswerHead head, const tokens::Tokenizer& tokenizer)
      : runs_(std::move(runs)), collector_(std::move(head), tokenizer) {}

  void set_wake(std::function<void()> wake) override { runs_.set_wake(std::move(wake)); }

  std::optional<Response> read() override {
    for (const ChoiceDelta& arrived : runs_.take()) collector_.add(arrived.choice, arrived.delta);
    if (!collector_.done()) return std::nullopt;
    return collector_.response();
  }

 private:
  RunGroup runs_;
  AnswerCollector collector_;
};

std::string new_id() {
  std::array<unsigned char, 12> bytes{};
  FATHOM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string id = "chatcmpl-";
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

std::int64_t now() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch()).count();
}

RunGroup::Plan plan_of(ChatRequest&& request, tokens::Rendered&& prompt) {
  // 0 leaves the choice of a seed to the engine, so a request's own 0 becomes another number that is always the same.
  constexpr std::uint64_t kSeedForZero = 0x5eed'0000'0000'0000;
  if (request.seed) request.sampling.seed = *request.seed == 0 ? kSeedForZero : *request.seed;
  return {.answer = {.prompt = std::move(prompt),
                     .sampling = std::move(request.sampling),
                     .max_tokens = request.max_tokens,
                     .stop = std::move(request.stop),
                     .ignore_stop = request.ignore_eos},
          .choices = request.choices,
          .seeded = request.seed.has_value()};
}

}  // namespace

Reply chat_completions(const RouteContext& context, const Request& http) {
  const auto body = read_body(http);
  if (!body) return error_response(body.error());
  const auto chosen = context.shelf.choose(*body);
  if (!chosen) return error_response(chosen.error());
  engine::LoadedModel& model = **chosen;
  auto request = read_chat_request(*body, model);
  if (!request) return error_response(request.error());
  auto prompt = model.chat_template().render(request->messages, request->render);
  if (!prompt) {
    return error_response(
        {.status = 400, .message = prompt.error().message, .param = "messages", .code = "invalid_value"});
  }

  AnswerHead head{.id = new_id(),
                  .created = now(),
                  .model = model.name(),
                  .fingerprint = "fathom-" + context.version,
                  .choices = request->choices,
                  .logprobs = request->logprobs,
                  .include_usage = request->include_usage};
  const bool stream = request->stream;
  auto runs = RunGroup::start(model, plan_of(std::move(*request), std::move(*prompt)));
  if (!runs) return error_response(runs.error());
  if (stream) return std::make_unique<ChatStream>(std::move(*runs), std::move(head), model.tokenizer());
  return std::make_unique<ChatResponse>(std::move(*runs), std::move(head), model.tokenizer());
}

}  // namespace fathom::server
