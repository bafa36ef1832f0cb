// POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages over a chat.
#include "server/chat_run.h"
#include "server/field_reader.h"
#include "server/messages_answer.h"
#include "server/messages_request.h"

namespace fathom::server {

Reply messages(const RouteContext& context, const Request& http) {
  const auto body = read_body(http);
  if (!body) return anthropic_error(body.error());
  const auto chat = messages_to_chat(*body);
  if (!chat) return anthropic_error(messages_error(chat.error()));
  auto run = start_chat(context, *chat);
  if (!run) return anthropic_error(messages_error(run.error()));
  MessageHead head{.id = new_id("msg_"), .model = run->model->name()};
  if (run->request.stream) return reply_with(std::move(run->runs), message_stream(std::move(head)));
  return reply_with(std::move(run->runs),
                    std::make_unique<BlockResponse>(
                        [head = std::move(head)](const BlockAnswer& answer) { return whole_message(head, answer); }));
}

Reply count_message_tokens(const RouteContext& context, const Request& http) {
  const auto body = read_body(http);
  if (!body) return anthropic_error(body.error());
  const auto chat = messages_to_chat(*body);
  if (!chat) return anthropic_error(messages_error(chat.error()));
  const auto prompt = read_chat(context, *chat);
  if (!prompt) return anthropic_error(messages_error(prompt.error()));
  const auto count = prompt->model->tokenizer().encode(prompt->rendered.prompt).size();
  return json_response(200, {{"input_tokens", count}});
}

}  // namespace fathom::server
