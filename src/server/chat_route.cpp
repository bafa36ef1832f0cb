// A chat request becomes runs; and POST /v1/chat/completions, which writes what they say as it is.
#include "base/clock.h"
#include "server/answer_writer.h"
#include "server/chat_answer.h"
#include "server/chat_run.h"
#include "server/constraint.h"
#include "server/field_reader.h"

namespace fathom::server {

RunGroup::Plan answer_plan(const ChatRequest& request) {
  RunGroup::Plan plan{.answer = {.sampling = request.sampling,
                                 .max_tokens = request.max_tokens,
                                 .stop = request.stop,
                                 .ignore_stop = request.ignore_eos},
                      .choices = request.choices,
                      .seeded = request.seed.has_value()};
  if (request.seed) plan.answer.sampling.seed = engine::chosen_seed(*request.seed);
  return plan;
}

ApiResult<ChatPrompt> read_chat(const RouteContext& context, const files::Json& body) {
  const auto model = choose_model(context, body);
  if (!model) return std::unexpected(model.error());
  auto request = read_chat_request(body, **model);
  if (!request) return std::unexpected(request.error());
  auto rendered = (*model)->chat_template().render(request->messages, request->render);
  if (!rendered) {
    return std::unexpected(
        ApiError{.status = 400, .message = rendered.error().message, .param = "messages", .code = "invalid_value"});
  }
  return ChatPrompt{.model = *model, .request = std::move(*request), .rendered = std::move(*rendered)};
}

ApiResult<ChatRun> start_chat(const RouteContext& context, const files::Json& body) {
  auto prompt = read_chat(context, body);
  if (!prompt) return std::unexpected(prompt.error());
  RunGroup::Plan plan = answer_plan(prompt->request);
  plan.answer.tools = prompt->request.form.tool_syntax;
  if (prompt->request.form.bounds.bounded()) {
    plan.answer.constraint = [model = prompt->model.get(), bounds = prompt->request.form.bounds,
                              opens = prompt->rendered.opens_thinking] {
      return make_constraint(*model, bounds, opens);
    };
  }
  plan.answer.prompt = std::move(prompt->rendered);
  auto runs = RunGroup::start(context, prompt->model, std::move(plan));
  if (!runs) return std::unexpected(runs.error());
  return ChatRun{.model = prompt->model, .request = std::move(prompt->request), .runs = std::move(*runs)};
}

Reply chat_completions(const RouteContext& context, const Request& http) {
  const auto body = read_body(http);
  if (!body) return error_response(body.error());
  auto run = start_chat(context, *body);
  if (!run) return error_response(run.error());
  AnswerHead head{.id = new_id("chatcmpl-"),
                  .created = base::unix_seconds(),
                  .model = run->model->name(),
                  .fingerprint = "fathom-" + context.version,
                  .choices = run->request.choices,
                  .logprobs = run->request.logprobs,
                  .include_usage = run->request.include_usage};
  const tokens::Tokenizer& tokenizer = run->model->tokenizer();
  if (run->request.stream)
    return reply_with(std::move(run->runs), std::make_unique<ChunkWriter>(std::move(head), tokenizer));
  return reply_with(std::move(run->runs), std::make_unique<AnswerCollector>(std::move(head), tokenizer));
}

}  // namespace fathom::server
