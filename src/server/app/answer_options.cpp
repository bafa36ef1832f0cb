#include "server/app/answer_options.h"

#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

constexpr std::size_t kMaxSystemPrompt = 100'000;
constexpr std::int64_t kMaxTokens = 10'000'000;  // no model's context is near it

}  // namespace

AppResult<Json> check_options(const Json& options, const std::string& where) {
  if (!options.is_object())
    return std::unexpected(bad_request(where.substr(0, where.size() - 1), "expected an object"));
  StrictFields fields(options,
                      {"model", "system_prompt", "thinking", "thinking_budget", "temperature", "top_p", "top_k",
                       "min_p", "repetition_penalty", "max_tokens", "seed"},
                      where);
  if (const auto model = fields.text("model"); model && !is_model_id(*model))
    fields.refuse("model", "expected the name of a model");
  if (const auto prompt = fields.text("system_prompt"); prompt && prompt->size() > kMaxSystemPrompt)
    fields.refuse("system_prompt",
                  fmt::format("expected at most {} bytes, found {}", kMaxSystemPrompt, prompt->size()));
  fields.boolean("thinking");
  fields.integer("thinking_budget", 1, kMaxTokens);
  fields.number("temperature", 0, 2);
  if (const auto top_p = fields.number("top_p", 0, 1); top_p && *top_p == 0)
    fields.refuse("top_p", "expected a number above 0 and at most 1, found 0");
  fields.integer("top_k", 0, 1'000'000);
  fields.number("min_p", 0, 1);
  fields.number("repetition_penalty", 0.1, 3);
  fields.integer("max_tokens", 1, kMaxTokens);
  fields.integer("seed", 0, INT64_MAX);
  if (const auto wrong = fields.wrong()) return std::unexpected(*wrong);
  return options;
}

Json merged(std::initializer_list<const Json*> layers) {
  Json result = Json::object();
  for (const Json* layer : layers) {
    for (const auto& [name, value] : layer->items())
      if (!value.is_null()) result[name] = value;
  }
  return result;
}

AnswerOptions answer_options(const Json& options) {
  FieldReader fields(options);  // checked when they were kept
  AnswerOptions result{.model = fields.text("model").value_or(""),
                       .system_prompt = fields.text("system_prompt").value_or(""),
                       .thinking = fields.boolean("thinking"),
                       .fields = options};
  if (const auto budget = fields.integer("thinking_budget", 1, kMaxTokens))
    result.thinking_budget = static_cast<int>(*budget);
  if (const auto limit = fields.integer("max_tokens", 1, kMaxTokens)) result.max_tokens = static_cast<int>(*limit);
  return result;
}

engine::SamplingOptions apply_sampling(const Json& options, engine::SamplingOptions sampling) {
  FieldReader fields(options);
  if (const auto v = fields.number("temperature", 0, 2)) sampling.temperature = static_cast<float>(*v);
  if (const auto v = fields.number("top_p", 0, 1)) sampling.top_p = static_cast<float>(*v);
  if (const auto v = fields.integer("top_k", 0, 1'000'000)) sampling.top_k = static_cast<int>(*v);
  if (const auto v = fields.number("min_p", 0, 1)) sampling.min_p = static_cast<float>(*v);
  if (const auto v = fields.number("repetition_penalty", 0.1, 3)) sampling.repetition_penalty = static_cast<float>(*v);
  if (const auto v = fields.integer("seed", 0, INT64_MAX))
    sampling.seed = engine::chosen_seed(static_cast<std::uint64_t>(*v));
  return sampling;
}

}  // namespace fathom::server::app
