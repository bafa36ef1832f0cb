// /tokenize, /detokenize and /apply-template: what a model sees, for tools and tests. Nothing is generated here.
#include "server/chat_request.h"
#include "server/field_reader.h"
#include "server/routes.h"

namespace fathom::server {

namespace {

using files::Json;

struct TextCall {
  Json body;
  ModelUse model;
};

ApiResult<TextCall> read_call(const RouteContext& context, const Request& request) {
  auto body = read_body(request);
  if (!body) return std::unexpected(body.error());
  const auto model = choose_model(context, *body);
  if (!model) return std::unexpected(model.error());
  return TextCall{std::move(*body), *model};
}

ApiError wrong(std::string param, std::string_view expected) {
  std::string message = fmt::format("{}: expected {}", param, expected);
  return {.status = 422, .message = std::move(message), .param = std::move(param), .code = "invalid_value"};
}

ApiResult<tokens::Prompt> rendered(const TextCall& call) {
  const auto messages = read_messages(call.body);
  if (!messages) return std::unexpected(messages.error());
  const auto options = read_render_options(call.body, *call.model);
  if (!options) return std::unexpected(options.error());
  auto result = call.model->chat_template().render(*messages, *options);
  if (!result) {
    return std::unexpected(
        ApiError{.status = 400, .message = result.error().message, .param = "messages", .code = "invalid_value"});
  }
  return std::move(result->prompt);
}

// A text (llama.cpp's clients call it content, vLLM's prompt) or messages, to ids.
ApiResult<std::vector<tokens::TokenId>> encoded(const TextCall& call) {
  const tokens::Tokenizer& tokenizer = call.model->tokenizer();
  if (call.body.contains("messages")) {
    const auto prompt = rendered(call);
    if (!prompt) return std::unexpected(prompt.error());
    return tokenizer.encode(*prompt);
  }
  FieldReader fields(call.body);
  const auto content = fields.text("content"), prompt = fields.text("prompt");
  const bool special = fields.boolean("add_special").value_or(false);
  const bool control = fields.boolean("parse_special").value_or(false);
  if (fields.error()) return std::unexpected(*fields.error());
  if (!content && !prompt) return std::unexpected(wrong("content", "a string (or messages, for a whole chat)"));
  std::vector<tokens::TokenId> ids = tokenizer.encode(content ? *content : *prompt, control);
  if (special && tokenizer.adds_bos() && tokenizer.bos()) ids.insert(ids.begin(), *tokenizer.bos());
  return ids;
}

}  // namespace

Reply tokenize(const RouteContext& context, const Request& request) {
  const auto call = read_call(context, request);
  if (!call) return error_response(call.error());
  const auto ids = encoded(*call);
  if (!ids) return error_response(ids.error());
  return json_response(200,
                       {{"tokens", *ids}, {"count", ids->size()}, {"max_model_len", call->model->context_length()}});
}

Reply detokenize(const RouteContext& context, const Request& request) {
  const auto call = read_call(context, request);
  if (!call) return error_response(call.error());
  const tokens::Tokenizer& tokenizer = call->model->tokenizer();
  FieldReader fields(call->body);
  const Json* list = fields.array("tokens");
  if (fields.error()) return error_response(*fields.error());
  if (list == nullptr) return error_response(wrong("tokens", "an array of token ids"));
  std::vector<tokens::TokenId> ids;
  ids.reserve(list->size());
  for (const Json& id : *list) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= tokenizer.vocabulary_size())
      return error_response(wrong(fmt::format("tokens[{}]", ids.size()),
                                  fmt::format("an integer from 0 to {}", tokenizer.vocabulary_size() - 1)));
    ids.push_back(id.get<tokens::TokenId>());
  }
  return json_response(200, {{"content", tokenizer.decode(ids, true)}});
}

Reply apply_template(const RouteContext& context, const Request& request) {
  const auto call = read_call(context, request);
  if (!call) return error_response(call.error());
  const auto prompt = rendered(*call);
  if (!prompt) return error_response(prompt.error());
  return json_response(200, {{"prompt", tokens::prompt_text(*prompt)}});
}

}  // namespace fathom::server
