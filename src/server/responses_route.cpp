// POST /v1/responses: OpenAI's Responses over a chat, without a memory.
#include "base/clock.h"
#include "server/chat_run.h"
#include "server/field_reader.h"
#include "server/responses_answer.h"
#include "server/responses_request.h"

namespace fathom::server {

Reply responses(const RouteContext& context, const Request& http) {
  const auto body = read_body(http);
  if (!body) return error_response(body.error());
  const auto chat = responses_to_chat(*body);
  if (!chat) return error_response(chat.error());
  auto run = start_chat(context, *chat);
  if (!run) return error_response(responses_error(run.error()));
  ResponseHead head{.id = new_id("resp_"),
                    .created = base::unix_seconds(),
                    .model = run->model->name(),
                    .asked = repeated_fields(*body),
                    .tokenizer = &run->model->tokenizer()};
  // What the model's own files recommend is what it was sampled with.
  const engine::SamplingOptions& sampling = run->request.sampling;
  if (head.asked["temperature"].is_null()) head.asked["temperature"] = sampling.temperature;
  if (head.asked["top_p"].is_null()) head.asked["top_p"] = sampling.top_p;
  if (run->request.stream) return reply_with(std::move(run->runs), response_stream(std::move(head)));
  return reply_with(std::move(run->runs),
                    std::make_unique<BlockResponse>(
                        [head = std::move(head)](const BlockAnswer& answer) { return whole_response(head, answer); }));
}

}  // namespace fathom::server
