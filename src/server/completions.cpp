// POST /v1/completions: texts that are continued as they stand, or filled in before a suffix. No chat template takes
// part and no thought is read out of what comes. Beside a string, prompts may be lists of strings and of token ids.
#include <algorithm>

#include "base/clock.h"
#include "server/chat_answer.h"
#include "server/completion_run.h"
#include "server/field_reader.h"
#include "tokens/utf8.h"

namespace fathom::server {

namespace {

using engine::AnswerDelta;
using engine::AnswerToken;
using engine::FinishReason;
using files::Json;

constexpr std::size_t kMaxCompletions = 64;  // prompts times n; as many as the engine runs side by side

struct TextPrompt {
  tokens::Rendered rendered;
  std::vector<tokens::TokenId> ids;
  std::string text;  // what echo gives back
};

struct CompletionRequest {
  std::vector<TextPrompt> prompts;
  ChatRequest options;
  bool echo = false;
};

// ---- the request

ApiError bad_field(std::string param, std::string_view problem, int status = 422) {
  std::string message = fmt::format("{}: {}", param, problem);
  return {.status = status, .message = std::move(message), .param = std::move(param), .code = "invalid_value"};
}

// What a family writes around the text before the gap and the text after it.
struct FillInFormat {
  std::string_view begin, hole, end;
};

std::optional<FillInFormat> fill_in_format(const tokens::Tokenizer& tokenizer) {
  constexpr FillInFormat kFormats[] = {
      {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},  // DeepSeek Coder, Coder V2, V3
      {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},  // Qwen2.5
  };
  for (const FillInFormat& format : kFormats) {
    if (tokenizer.find(format.begin) && tokenizer.find(format.hole) && tokenizer.find(format.end)) return format;
  }
  return std::nullopt;
}

// The text is a person's: control tokens in it are plain text. Who means the tokens sends ids.
ApiResult<TextPrompt> text_prompt(std::string text, const std::string& suffix, const engine::LoadedModel& model) {
  const tokens::Tokenizer& tokenizer = model.tokenizer();
  tokens::Prompt pieces;
  if (tokenizer.adds_bos() && tokenizer.bos())
    pieces.push_back({.text = std::string(tokenizer.bytes(*tokenizer.bos())), .trusted = true});
  if (suffix.empty()) {
    pieces.push_back({.text = text});
  } else {
    const auto format = fill_in_format(tokenizer);
    if (!format)
      return std::unexpected(bad_field("suffix", model.name() + " has no tokens for filling in: leave it out", 400));
    pieces.push_back({.text = std::string(format->begin), .trusted = true});
    pieces.push_back({.text = text});
    pieces.push_back({.text = std::string(format->hole), .trusted = true});
    pieces.push_back({.text = suffix});
    pieces.push_back({.text = std::string(format->end), .trusted = true});
  }
  return TextPrompt{.rendered = {.prompt = std::move(pieces)}, .text = std::move(text)};
}

ApiResult<TextPrompt> id_prompt(const Json& list, const tokens::Tokenizer& tokenizer) {
  TextPrompt prompt;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= tokenizer.vocabulary_size())
      return std::unexpected(
          bad_field("prompt", fmt::format("expected token ids from 0 to {}", tokenizer.vocabulary_size() - 1)));
    prompt.ids.push_back(id.get<tokens::TokenId>());
  }
  if (prompt.ids.empty()) return std::unexpected(bad_field("prompt", "no tokens, and there is nothing to continue"));
  prompt.text = tokenizer.decode(prompt.ids, true);
  return prompt;
}

ApiResult<std::vector<TextPrompt>> read_prompts(const Json& body, const engine::LoadedModel& model) {
  constexpr std::string_view kExpected = "expected a string, a list of strings, of token ids, or of lists of those";
  FieldReader fields(body);
  const std::string suffix = fields.text("suffix").value_or("");
  const Json* given = fields.value("prompt");
  if (fields.error()) return std::unexpected(*fields.error());
  if (given == nullptr) return std::unexpected(bad_field("prompt", kExpected));
  const bool one = given->is_string() || (given->is_array() && !given->empty() && given->front().is_number());
  const Json list = one ? Json::array({*given}) : *given;
  if (!list.is_array() || list.empty()) return std::unexpected(bad_field("prompt", kExpected));
  if (list.size() > kMaxCompletions)
    return std::unexpected(bad_field("prompt", fmt::format("expected at most {} prompts", kMaxCompletions)));
  std::vector<TextPrompt> prompts;
  for (const Json& each : list) {
    if (!each.is_string() && !each.is_array()) return std::unexpected(bad_field("prompt", kExpected));
    if (each.is_array() && !suffix.empty())
      return std::unexpected(bad_field("suffix", "needs a prompt that is a string", 400));
    auto prompt =
        each.is_string() ? text_prompt(each.get<std::string>(), suffix, model) : id_prompt(each, model.tokenizer());
    if (!prompt) return std::unexpected(prompt.error());
    prompts.push_back(std::move(*prompt));
  }
  return prompts;
}

// The other fields are those of a chat, except that `logprobs` is a number here.
ApiResult<CompletionRequest> read_completion(Json body, const engine::LoadedModel& model) {
  auto prompts = read_prompts(body, model);
  if (!prompts) return std::unexpected(prompts.error());
  FieldReader fields(body);
  const bool echo = fields.boolean("echo").value_or(false);
  const auto logprobs = fields.integer("logprobs", 0, kMaxTopLogprobs);
  const auto best_of = fields.integer("best_of", 1, kMaxChoices);
  if (fields.error()) return std::unexpected(*fields.error());
  for (const char* name : {"prompt", "suffix", "logprobs", "top_logprobs"}) body.erase(name);
  if (logprobs) body.update({{"logprobs", true}, {"top_logprobs", *logprobs}});
  auto options = read_answer_options(body, model);
  if (!options) return std::unexpected(options.error());
  if (best_of && *best_of != options->choices)
    return std::unexpected(bad_field("best_of", "no choice among more answers than n is made: leave it out", 400));
  if (echo && logprobs) {
    return std::unexpected(
        bad_field("echo", "log-probabilities of the prompt itself are not computed: leave out echo or logprobs", 400));
  }
  if (prompts->size() * static_cast<std::size_t>(options->choices) > kMaxCompletions)
    return std::unexpected(bad_field("n", fmt::format("expected at most {} prompts times n", kMaxCompletions)));
  return CompletionRequest{.prompts = std::move(*prompts), .options = std::move(*options), .echo = echo};
}

// ---- the answer

struct CompletionHead {
  std::string id;
  std::int64_t created = 0;
  std::string model;
  std::string fingerprint;
  std::vector<std::string> echo;  // of each prompt; empty strings where it was not asked for
  int choices = 1;                // of each prompt
  int top_logprobs = -1;
  bool include_usage = false;

  std::size_t all() const { return echo.size() * static_cast<std::size_t>(choices); }
  std::size_t prompt_of(int choice) const { return static_cast<std::size_t>(choice / choices); }

  Json envelope(Json list) const {
    return {{"id", id},       {"object", "text_completion"},       {"created", created},
            {"model", model}, {"system_fingerprint", fingerprint}, {"choices", std::move(list)}};
  }
};

// A token's text as OpenAI names it where it is only part of a character.
std::string token_name(std::string_view bytes) {
  if (tokens::utf8::valid_prefix(bytes) == bytes.size()) return std::string(bytes);
  std::string name = "bytes:";
  for (const char byte : bytes) name += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return name;
}

// One choice's log-probabilities in the old form: parallel lists.
class TextLogprobs {
 public:
  void add(const std::vector<AnswerToken>& tokens, int top, const tokens::Tokenizer& tokenizer) {
    for (const AnswerToken& token : tokens) {
      const std::string_view bytes = tokenizer.bytes(token.id);
      names_.push_back(token_name(bytes));
      logprobs_.push_back(token.logprob);
      Json likeliest = Json::object();
      for (const engine::TokenLogprob& other : token.top)
        likeliest[token_name(tokenizer.bytes(other.token))] = other.logprob;
      top_.push_back(top > 0 ? std::move(likeliest) : Json(nullptr));
      offsets_.push_back(offset_);
      offset_ += std::ranges::count_if(bytes, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
    }
  }

  Json take() {
    if (names_.empty()) return nullptr;
    return {{"tokens", std::exchange(names_, Json::array())},
            {"token_logprobs", std::exchange(logprobs_, Json::array())},
            {"top_logprobs", std::exchange(top_, Json::array())},
            {"text_offset", std::exchange(offsets_, Json::array())}};
  }

 private:
  Json names_ = Json::array(), logprobs_ = Json::array(), top_ = Json::array(), offsets_ = Json::array();
  std::int64_t offset_ = 0;  // in characters, from the beginning of the answer
};

// What both forms of an answer keep of every choice.
class CompletionState {
 public:
  CompletionState(CompletionHead head, const tokens::Tokenizer& tokenizer)
      : head_(std::move(head)), tokenizer_(&tokenizer), logprobs_(head_.all()), usages_(head_.echo.size()) {}

 protected:
  void take(int choice, const AnswerDelta& delta) {
    if (head_.top_logprobs >= 0)
      logprobs_[static_cast<std::size_t>(choice)].add(delta.tokens, head_.top_logprobs, *tokenizer_);
    if (delta.finish == FinishReason::kNone) return;
    ++finished_;
    usages_[head_.prompt_of(choice)].add(delta);
    if (!failure_) failure_ = failure_of(delta);
  }
  bool over() const { return finished_ >= head_.all() || failure_; }
  Json usage() const {
    Usage sum;
    for (const Usage& each : usages_) sum += each;
    return sum.json();
  }

  CompletionHead head_;
  const tokens::Tokenizer* tokenizer_;
  std::vector<TextLogprobs> logprobs_;
  std::vector<Usage> usages_;  // by prompt
  std::size_t finished_ = 0;
  std::optional<ApiError> failure_;
};

class CompletionStream final : public StreamWriter, CompletionState {
 public:
  using CompletionState::CompletionState;

  std::string open() override {
    std::string text;
    for (int choice = 0; choice < static_cast<int>(head_.all()); ++choice) {
      const std::string& echo = head_.echo[head_.prompt_of(choice)];
      if (!echo.empty()) text += data_event(chunk(choice, echo, nullptr));
    }
    return text;
  }

  std::string write(int choice, const AnswerDelta& delta) override {
    take(choice, delta);
    if (failure_) return data_event(error_body(*failure_)) + kDone;
    TextLogprobs& logprobs = logprobs_[static_cast<std::size_t>(choice)];
    if (delta.finish == FinishReason::kNone)
      return delta.content.empty() ? std::string{} : data_event(chunk(choice, delta.content, logprobs.take()));
    Json last = chunk(choice, delta.content, logprobs.take());
    last["choices"][0]["finish_reason"] = finish_name(delta.finish);
    if (!over()) return data_event(last);
    if (!head_.include_usage) {
      last["usage"] = usage();
      return data_event(last) + kDone;
    }
    Json totals = head_.envelope(Json::array());
    totals["usage"] = usage();
    return data_event(last) + data_event(totals) + kDone;
  }

  bool done() const override { return over(); }

 private:
  static constexpr const char* kDone = "data: [DONE]\n\n";

  Json chunk(int choice, const std::string& text, Json logprobs) const {
    Json result = head_.envelope(Json::array(
        {Json{{"text", text}, {"index", choice}, {"logprobs", std::move(logprobs)}, {"finish_reason", nullptr}}}));
    if (head_.include_usage) result["usage"] = nullptr;
    return result;
  }
};

class CompletionResponse final : public ResponseWriter, CompletionState {
 public:
  CompletionResponse(CompletionHead head, const tokens::Tokenizer& tokenizer)
      : CompletionState(std::move(head), tokenizer), choices_(head_.all()) {}

  void add(int choice, const AnswerDelta& delta) override {
    take(choice, delta);
    Choice& collected = choices_[static_cast<std::size_t>(choice)];
    collected.text += delta.content;
    collected.finish = delta.finish;
  }

  bool done() const override { return over(); }

  Response response() const override {
    if (failure_) return error_response(*failure_);
    Json list = Json::array();
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      TextLogprobs logprobs = logprobs_[i];
      list.push_back({{"text", head_.echo[head_.prompt_of(static_cast<int>(i))] + choices_[i].text},
                      {"index", i},
                      {"logprobs", logprobs.take()},
                      {"finish_reason", finish_name(choices_[i].finish)}});
    }
    Json body = head_.envelope(std::move(list));
    body["usage"] = usage();
    return json_response(200, body);
  }

 private:
  struct Choice {
    std::string text;
    FinishReason finish = FinishReason::kNone;
  };
  std::vector<Choice> choices_;
};

ApiResult<RunGroup> start_runs(const RouteContext& context, const ModelUse& model, CompletionRequest& request) {
  std::optional<RunGroup> group;
  for (TextPrompt& prompt : request.prompts) {
    RunGroup::Plan plan = answer_plan(request.options);
    plan.prompt_field = "prompt";
    plan.answer.prompt = std::move(prompt.rendered);
    plan.answer.prompt_ids = std::move(prompt.ids);
    plan.answer.plain = true;
    if (group) {
      if (auto error = group->add(std::move(plan))) return std::unexpected(std::move(*error));
    } else {
      auto started = RunGroup::start(context, model, std::move(plan));
      if (!started) return started;
      group.emplace(std::move(*started));
    }
  }
  return std::move(*group);
}

}  // namespace

ApiResult<ChatRun> start_completion(const RouteContext& context, Json body) {
  const auto model = choose_model(context, body);
  if (!model) return std::unexpected(model.error());
  auto request = read_completion(std::move(body), **model);
  if (!request) return std::unexpected(request.error());
  auto runs = start_runs(context, *model, *request);
  if (!runs) return std::unexpected(runs.error());
  return ChatRun{.model = *model, .request = std::move(request->options), .runs = std::move(*runs)};
}

bool can_fill_in(const tokens::Tokenizer& tokenizer) {
  return fill_in_format(tokenizer).has_value();
}

Reply completions(const RouteContext& context, const Request& http) {
  auto body = read_body(http);
  if (!body) return error_response(body.error());
  const auto chosen = choose_model(context, *body);
  if (!chosen) return error_response(chosen.error());
  const engine::LoadedModel& model = **chosen;
  auto request = read_completion(std::move(*body), model);
  if (!request) return error_response(request.error());
  auto runs = start_runs(context, *chosen, *request);
  if (!runs) return error_response(runs.error());

  CompletionHead head{.id = new_id("cmpl-"),
                      .created = base::unix_seconds(),
                      .model = model.name(),
                      .fingerprint = "fathom-" + context.version,
                      .choices = request->options.choices,
                      .top_logprobs = request->options.sampling.top_logprobs,
                      .include_usage = request->options.include_usage};
  for (TextPrompt& prompt : request->prompts) head.echo.push_back(request->echo ? std::move(prompt.text) : "");
  if (request->options.stream)
    return reply_with(std::move(*runs), std::make_unique<CompletionStream>(std::move(head), model.tokenizer()));
  return reply_with(std::move(*runs), std::make_unique<CompletionResponse>(std::move(head), model.tokenizer()));
}

}  // namespace fathom::server
