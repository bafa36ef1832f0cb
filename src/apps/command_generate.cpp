// generate: one answer on standard output, as it comes.
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>

#include "apps/commands.h"
#include "engine/answer.h"

namespace fathom::apps {

using base::fail;

namespace {

struct Answer {
  std::mutex mutex;
  std::condition_variable ended;
  std::string reasoning, content;
  engine::AnswerDelta last;
  bool done = false;
};

std::string_view reason_name(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kCancelled:
      return "cancelled";
    default:
      return "error";
  }
}

base::Result<tokens::Rendered> prompt_of(const GenerateFlags& flags, const engine::LoadedModel& model) {
  std::string text = flags.prompt.value_or("");
  if (!flags.prompt) {
    auto read = read_text(flags.prompt_file);
    if (!read) return std::unexpected(read.error());
    text = std::move(*read);
  }
  if (flags.raw) {
    tokens::Rendered rendered;
    if (model.tokenizer().adds_bos() && model.tokenizer().bos())
      rendered.prompt.push_back({std::string(model.tokenizer().bytes(*model.tokenizer().bos())), true});
    rendered.prompt.push_back({text, false});
    return rendered;
  }
  std::vector<tokens::Message> messages;
  auto system = system_prompt(flags.system);
  if (!system) return std::unexpected(system.error());
  if (!system->empty()) messages.push_back({.role = "system", .content = std::move(*system)});
  messages.push_back({.role = "user", .content = text});
  return model.chat_template().render(messages, {.thinking = flags.thinking});
}

void print_json(const Answer& answer) {
  const auto& s = answer.last.statistics;
  const files::Json json{{"text", answer.content},
                         {"reasoning", answer.reasoning},
                         {"prompt_tokens", s.prompt_tokens},
                         {"tokens", s.generated_tokens},
                         {"finish_reason", std::string(reason_name(answer.last.finish))},
                         {"seconds", s.prefill_seconds + s.decode_seconds}};
  fmt::print("{}\n", json.dump(-1, ' ', false, files::Json::error_handler_t::replace));
}

}  // namespace

Status generate(const GenerateFlags& flags) {
  auto model = open_model(flags);
  if (!model) return std::unexpected(model.error());
  auto prompt = prompt_of(flags, **model);
  if (!prompt) return std::unexpected(prompt.error());
  say_context(flags, (*model)->context_length());
  Answer answer;
  const bool stream = !flags.json;
  auto run = engine::start_answer(**model,
                                  {.prompt = std::move(*prompt),
                                   .sampling = apply(flags.sampling, (*model)->default_sampling()),
                                   .max_tokens = flags.max_tokens},
                                  [&](const engine::AnswerDelta& delta) {
                                    if (stream) {
                                      // Thoughts go to standard error, so that standard output holds the answer alone.
                                      std::fwrite(delta.reasoning.data(), 1, delta.reasoning.size(), stderr);
                                      std::fwrite(delta.content.data(), 1, delta.content.size(), stdout);
                                      std::fflush(stdout);
                                    }
                                    const std::scoped_lock lock(answer.mutex);
                                    answer.reasoning += delta.reasoning;
                                    answer.content += delta.content;
                                    if (delta.finish == engine::FinishReason::kNone) return;
                                    answer.last = delta;
                                    answer.done = true;
                                    answer.ended.notify_one();
                                  });
  if (!run) return std::unexpected(run.error());
  std::unique_lock lock(answer.mutex);
  answer.ended.wait(lock, [&] { return answer.done; });
  if (!answer.last.error.empty()) return fail("{}", answer.last.error);
  if (flags.json) {
    print_json(answer);
  } else {
    std::fputc('\n', stdout);
  }
  return {};
}

}  // namespace fathom::apps
