// A chat through /v1/chat/completions of the running server: the model is in memory once, whoever asks it.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "apps/chat_model.h"
#include "apps/running_server.h"
#include "engine/recommended.h"
#include "files/http.h"
#include "weights/checkpoint.h"

namespace fathom::apps {

using base::fail;
using base::Result;
using engine::AnswerDelta;
using engine::FinishReason;
using files::Json;

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kStallSeconds = 120;  // the server gives a sign of life every 15

// Becomes deltas: the events of a stream, as their bytes come.
class StreamReader {
 public:
  explicit StreamReader(engine::AnswerSink sink) : sink_(std::move(sink)) {}

  void take(std::string_view bytes) {
    text_ += bytes;
    for (std::size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      const std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      if (line.starts_with("data: {")) read(Json::parse(line.substr(6), nullptr, false));
    }
  }

  bool ended() const { return ended_; }
  void end(FinishReason finish, std::string error = {}) {
    if (std::exchange(ended_, true)) return;
    AnswerDelta last{.finish = finish, .error = std::move(error), .statistics = statistics_};
    const auto now = Clock::now();
    const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
    last.statistics.prefill_seconds = seconds((first_ ? *first_ : now) - start_);
    last.statistics.decode_seconds = first_ ? seconds(now - *first_) : 0;
    sink_(last);
  }

 private:
  void read(const Json& event) {
    if (ended_ || !event.is_object()) return;
    if (event.contains("error")) return end(FinishReason::kFailed, text_at(event["error"], "message"));
    if (const auto usage = event.find("usage"); usage != event.end() && usage->is_object()) {
      statistics_.prompt_tokens = static_cast<int>(number_at(*usage, "prompt_tokens"));
      statistics_.cached_tokens = static_cast<int>(number_at(*usage, "prompt_cache_hit_tokens"));
      statistics_.generated_tokens = static_cast<int>(number_at(*usage, "completion_tokens"));
    }
    const auto choices = event.find("choices");
    if (choices == event.end() || !choices->is_array() || choices->empty() || !choices->front().is_object()) return;
    const Json& choice = choices->front();
    if (const auto delta = choice.find("delta"); delta != choice.end()) {
      AnswerDelta next{.reasoning = text_at(*delta, "reasoning_content"),
                       .content = text_at(*delta, "content"),
                       .statistics = statistics_};
      if (!next.reasoning.empty() || !next.content.empty()) {
        if (!first_) first_ = Clock::now();
        sink_(next);
      }
    }
    const std::string finish = text_at(choice, "finish_reason");
    if (finish.empty()) return;
    end(finish == "length"                         ? FinishReason::kLength
        : finish == "insufficient_system_resource" ? FinishReason::kCancelled
                                                   : FinishReason::kStop);
  }

  engine::AnswerSink sink_;
  std::string text_;
  engine::RunStatistics statistics_;
  Clock::time_point start_ = Clock::now();
  std::optional<Clock::time_point> first_;
  bool ended_ = false;
};

Json body_of(const std::string& model, const ChatQuestion& question) {
  Json messages = Json::array();
  for (const tokens::Message& m : question.messages) {
    Json message{{"role", m.role}, {"content", m.content}};
    if (!m.reasoning.empty()) message["reasoning_content"] = m.reasoning;
    if (m.prefix) message["prefix"] = true;
    messages.push_back(std::move(message));
  }
  const engine::SamplingOptions& s = question.sampling;
  Json body = {{"model", model},
               {"messages", std::move(messages)},
               {"stream", true},
               {"temperature", s.temperature},
               {"top_k", s.top_k},
               {"top_p", s.top_p},
               {"min_p", s.min_p},
               {"repetition_penalty", s.repetition_penalty},
               {"frequency_penalty", s.frequency_penalty},
               {"presence_penalty", s.presence_penalty}};
  if (s.seed != 0) body["seed"] = static_cast<std::int64_t>(s.seed);
  if (question.max_tokens > 0) body["max_tokens"] = question.max_tokens;
  if (question.thinking) body["thinking"] = {{"type", *question.thinking ? "enabled" : "disabled"}};
  return body;
}

class ServedChatModel final : public ChatModel {
 public:
  ServedChatModel(RunningServer server, std::string name, int context, tokens::Tokenizer tokenizer,
                  tokens::ChatTemplate chat_template, engine::SamplingOptions sampling)
      : server_(std::move(server)),
        name_(std::move(name)),
        context_(context),
        tokenizer_(std::move(tokenizer)),
        template_(std::move(chat_template)),
        sampling_(std::move(sampling)) {}

  const std::string& name() const override { return name_; }
  const tokens::Tokenizer& tokenizer() const override { return tokenizer_; }
  const tokens::ChatTemplate& chat_template() const override { return template_; }
  const engine::SamplingOptions& default_sampling() const override { return sampling_; }
  int context_length() const override { return context_; }
  std::string where() const override { return server_.url(); }

  Result<void> start(ChatQuestion question, engine::AnswerSink sink) override {
    thread_ = std::jthread([this, body = body_of(name_, question).dump(-1, ' ', false, Json::error_handler_t::replace),
                            sink = std::move(sink)](const std::stop_token& stop) { follow(body, sink, stop); });
    return {};
  }
  void cancel() override { thread_.request_stop(); }

 private:
  void follow(const std::string& body, const engine::AnswerSink& sink, const std::stop_token& stop) const {
    StreamReader reader(sink);
    const auto head = files::http_get({.url = server_.url() + "/v1/chat/completions",
                                       .bearer = server_.secret(),
                                       .stop = stop,
                                       .stall_seconds = kStallSeconds,
                                       .post = body,
                                       .to_this_machine = true},
                                      {.started = [](const files::HttpResponse&) { return true; },
                                       .body =
                                           [&](std::span<const std::byte> bytes) {
                                             reader.take({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
                                             return true;
                                           }});
    if (reader.ended()) return;
    if (!head && head.error().stopped) return reader.end(FinishReason::kCancelled);
    if (!head) return reader.end(FinishReason::kFailed, "the server does not answer: " + head.error().message);
    reader.end(FinishReason::kFailed,
               head->status == 200 ? "the server ended the answer before its end" : refusal_text(*head));
  }

  RunningServer server_;
  std::string name_;
  int context_;
  tokens::Tokenizer tokenizer_;
  tokens::ChatTemplate template_;
  engine::SamplingOptions sampling_;
  std::jthread thread_;  // last: it uses the rest
};

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return !a.empty() && std::filesystem::equivalent(a, b, error);
}

}  // namespace

Result<std::unique_ptr<ChatModel>> served_chat_model(const std::string& path) {
  auto server = RunningServer::find();
  if (!server) return nullptr;
  const auto reply = server->get("/api/ps");
  if (!reply || !reply->contains("models") || !(*reply)["models"].is_array()) return nullptr;
  const Json& models = (*reply)["models"];
  const auto model = std::ranges::find_if(models, [&](const Json& m) { return same_file(text_at(m, "path"), path); });
  if (model == models.end()) return nullptr;
  const auto checkpoint = weights::Checkpoint::open(path);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  auto settings = engine::recommended(*checkpoint);
  if (!settings) return std::unexpected(settings.error());
  auto tokenizer = engine::load_tokenizer(path);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  auto chat_template = tokens::ChatTemplate::for_tokenizer(*tokenizer);
  if (!chat_template) chat_template = tokens::ChatTemplate::none(chat_template.error().message);
  return std::make_unique<ServedChatModel>(std::move(*server), text_at(*model, "name"),
                                           static_cast<int>(number_at(*model, "context_length")), std::move(*tokenizer),
                                           std::move(*chat_template), std::move(settings->sampling));
}

}  // namespace fathom::apps
