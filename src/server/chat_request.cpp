// The fields of a chat request, one by one. Nothing that was asked for is dropped silently.
#include "server/chat_request.h"

#include <algorithm>
#include <charconv>

#include "server/field_reader.h"

namespace fathom::server {

namespace {

using files::Json;

constexpr std::int64_t kMaxTokensBound = 10'000'000;  // no model's context is near it; the context is the real bound
constexpr std::size_t kMaxStopBytes = 1024;

void read_sampling(FieldReader& fields, ChatRequest& request) {
  engine::SamplingOptions& sampling = request.sampling;
  if (const auto v = fields.number("temperature", 0, 2)) sampling.temperature = static_cast<float>(*v);
  if (const auto v = fields.number("top_p", 0, 1)) {
    sampling.top_p = static_cast<float>(*v);
    if (*v == 0) fields.refuse("top_p", "expected a number above 0 and at most 1, found 0");
  }
  if (const auto v = fields.number("min_p", 0, 1)) sampling.min_p = static_cast<float>(*v);
  // -1 is how vLLM's clients switch it off.
  if (const auto v = fields.integer("top_k", -1, 1'000'000))
    sampling.top_k = static_cast<int>(std::max<std::int64_t>(*v, 0));
  if (const auto v = fields.number("frequency_penalty", -2, 2)) sampling.frequency_penalty = static_cast<float>(*v);
  if (const auto v = fields.number("presence_penalty", -2, 2)) sampling.presence_penalty = static_cast<float>(*v);
  if (const auto v = fields.number("repetition_penalty", 0.01, 10))
    sampling.repetition_penalty = static_cast<float>(*v);
  if (const auto v = fields.integer("seed", INT64_MIN, INT64_MAX)) request.seed = static_cast<std::uint64_t>(*v);

  request.logprobs = fields.boolean("logprobs").value_or(false);
  if (const auto v = fields.integer("top_logprobs", 0, kMaxTopLogprobs)) {
    sampling.top_logprobs = static_cast<int>(*v);
    if (!request.logprobs) fields.refuse("top_logprobs", "needs logprobs: true");
  } else if (request.logprobs) {
    sampling.top_logprobs = 0;
  }
}

void read_logit_bias(FieldReader& fields, const tokens::Tokenizer& tokenizer, engine::SamplingOptions& sampling) {
  const Json* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kMaxBiases)
    return fields.refuse("logit_bias", fmt::format("expected at most {} tokens, found {}", kMaxBiases, biases->size()));
  for (const auto& [key, bias] : biases->items()) {
    tokens::TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size() || id < 0 || id >= tokenizer.vocabulary_size())
      return fields.refuse("logit_bias", fmt::format("{:?} is not the id of a token: expected 0 to {}", key,
                                                     tokenizer.vocabulary_size() - 1));
    if (!bias.is_number() || bias.get<double>() < -100 || bias.get<double>() > 100)
      return fields.refuse("logit_bias", fmt::format("expected a number from -100 to 100 for token {}", id));
    sampling.logit_bias.emplace_back(id, bias.get<float>());
  }
}

void read_stop(FieldReader& fields, std::vector<std::string>& stop) {
  const Json* value = fields.value("stop");
  if (value == nullptr) return;
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (list.size() > kMaxStops)
    return fields.refuse("stop", fmt::format("expected at most {} strings, found {}", kMaxStops, list.size()));
  for (const Json& text : list) {
    if (!text.is_string() || text.get_ref<const std::string&>().empty() ||
        text.get_ref<const std::string&>().size() > kMaxStopBytes)
      return fields.refuse("stop", fmt::format("expected a string of 1 to {} bytes, or a list of such", kMaxStopBytes));
    stop.push_back(text.get<std::string>());
  }
}

void read_length(FieldReader& fields, ChatRequest& request) {
  const auto old_name = fields.integer("max_tokens", 1, kMaxTokensBound);
  const auto new_name = fields.integer("max_completion_tokens", 1, kMaxTokensBound);
  if (const auto limit = new_name ? new_name : old_name) request.max_tokens = static_cast<int>(*limit);
  request.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  request.choices = static_cast<int>(fields.integer("n", 1, kMaxChoices).value_or(1));
}

void read_stream(FieldReader& fields, ChatRequest& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const Json* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!request.stream) {
    return fields.refuse({.status = 400,
                          .message = "stream_options: only with stream: true",
                          .param = "stream_options",
                          .code = "invalid_value"});
  }
  FieldReader inner(*options);
  request.include_usage = inner.boolean("include_usage").value_or(false);
  if (inner.error()) fields.refuse("stream_options.include_usage", "expected true or false");
}

// What a template gets from the server itself; a request must not put its own in their place.
bool is_reserved(std::string_view variable) {
  constexpr std::string_view kReserved[] = {"messages",  "tools",     "bos_token", "eos_token", "add_generation_prompt",
                                            "documents", "pad_token", "unk_token"};
  return std::ranges::find(kReserved, variable) != std::end(kReserved);
}

void read_template_variables(FieldReader& fields, tokens::RenderOptions& render) {
  const Json* variables = fields.object("chat_template_kwargs");
  if (variables == nullptr) return;
  for (const auto& [name, value] : variables->items()) {
    if (is_reserved(name)) return fields.refuse("chat_template_kwargs", fmt::format("{:?} is the server's own", name));
    // Both names are in use for the switch that the template is given anyway.
    if ((name == "thinking" || name == "enable_thinking") && value.is_boolean()) {
      render.thinking = value.get<bool>();
    } else {
      render.extra[name] = value;
    }
  }
}

void read_thinking(FieldReader& fields, tokens::RenderOptions& render) {
  if (const auto effort = fields.text("reasoning_effort")) {
    constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    if (std::ranges::find(kEfforts, *effort) == std::end(kEfforts))
      return fields.refuse("reasoning_effort", "expected none, minimal, low, medium, high, xhigh or max");
    render.thinking = *effort != "none";
  }
  if (const Json* thinking = fields.object("thinking")) {
    const auto type = thinking->find("type");
    if (type == thinking->end() || (*type != "enabled" && *type != "disabled"))
      return fields.refuse("thinking.type", "expected \"enabled\" or \"disabled\"");
    render.thinking = *type == "enabled";
  }
}

ApiError bad_messages(std::string message) {
  return {.status = 400, .message = std::move(message), .param = "messages", .code = "invalid_value"};
}

}  // namespace

ApiResult<std::vector<tokens::Message>> read_messages(const Json& body) {
  const auto found = body.find("messages");
  if (found == body.end() || !found->is_array() || found->empty())
    return std::unexpected(bad_messages("messages: expected an array of at least one message"));
  auto messages = tokens::messages_from_json(*found);
  if (!messages) return std::unexpected(bad_messages(messages.error().message));
  // A template out of a file knows no prefix and would pass over one in another place.
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const tokens::Message& message = (*messages)[i];
    if (message.prefix && (i + 1 != messages->size() || message.role != "assistant")) {
      return std::unexpected(bad_messages(
          fmt::format("messages[{}].prefix: only the last message can be continued, and only an assistant's", i)));
    }
  }
  return std::move(*messages);
}

ApiResult<tokens::RenderOptions> read_render_options(const Json& body, const engine::LoadedModel& model) {
  FieldReader fields(body);
  tokens::RenderOptions render;
  read_template_variables(fields, render);
  read_thinking(fields, render);
  if (fields.error()) return std::unexpected(*fields.error());
  // Clients of DeepSeek's API send the switch to every model; one that cannot think answers as it does.
  if (!model.chat_template().can_think()) render.thinking.reset();
  return render;
}

ApiResult<ChatRequest> read_answer_options(const Json& body, const engine::LoadedModel& model) {
  ChatRequest request{.sampling = model.default_sampling()};
  FieldReader fields(body);
  read_sampling(fields, request);
  read_logit_bias(fields, model.tokenizer(), request.sampling);
  read_stop(fields, request.stop);
  read_length(fields, request);
  read_stream(fields, request);
  if (fields.error()) return std::unexpected(*fields.error());
  return request;
}

ApiResult<ChatRequest> read_chat_request(const Json& body, const engine::LoadedModel& model) {
  auto request = read_answer_options(body, model);
  if (!request) return request;
  auto messages = read_messages(body);
  if (!messages) return std::unexpected(messages.error());
  request->messages = std::move(*messages);
  auto render = read_render_options(body, model);
  if (!render) return std::unexpected(render.error());
  request->render = std::move(*render);
  auto form = read_answer_form(body, model, request->render.thinking, request->max_tokens);
  if (!form) return std::unexpected(form.error());
  request->form = std::move(*form);
  request->render.tools = request->form.tools;
  return request;
}

}  // namespace fathom::server
