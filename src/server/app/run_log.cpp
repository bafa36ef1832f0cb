#include "server/app/run_log.h"

#include <algorithm>

namespace fathom::server::app {

namespace {

std::string event(const Json& data, std::int64_t position) {
  return fmt::format("event: {}\ndata: {}\nid: {}\n\n", data.at("type").get<std::string_view>(), json_text(data),
                     position);
}

std::int64_t size_of(const std::string& text) {
  return static_cast<std::int64_t>(text.size());
}

// The text from `at` on; a place within a character gives the next one.
std::string_view text_from(const std::string& text, std::int64_t at) {
  auto from = static_cast<std::size_t>(std::clamp<std::int64_t>(at, 0, size_of(text)));
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
  return std::string_view(text).substr(from);
}

Json text_event(const char* type, std::string_view text, std::int64_t tokens) {
  return {{"type", type}, {"text", text}, {"tokens", tokens}};
}

std::string part(const std::string& text, const chat::Run::Span& span) {
  const auto size = size_of(text);
  const auto from = std::clamp<std::int64_t>(span.from, 0, size), to = std::clamp<std::int64_t>(span.to, from, size);
  return text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
}

}  // namespace

std::int64_t RunLog::position() const {
  return size_of(reasoning) + (thought ? 1 : 0) + size_of(content) + (ended ? 1 : 0);
}

std::string RunLog::events_after(std::int64_t from) const {
  std::string events;
  const std::int64_t reasoning_end = size_of(reasoning);
  if (from < reasoning_end) {
    const std::string_view text = text_from(reasoning, from);
    // While it thinks, every token is one of the reasoning.
    if (!text.empty())
      events += event(text_event("reasoning", text, thought ? reasoning_tokens : tokens), reasoning_end);
  }
  const std::int64_t content_begin = reasoning_end + (thought ? 1 : 0);
  if (thought && from < content_begin)
    events += event({{"type", "reasoning_end"}, {"seconds", reasoning_seconds}}, content_begin);
  const std::int64_t content_end = content_begin + size_of(content);
  if (from < content_end) {
    const std::string_view text = text_from(content, from - content_begin);
    if (!text.empty()) events += event(text_event("content", text, tokens), content_end);
  }
  // Also for whoever has it already: the stream has an end however it is asked for.
  if (ended) {
    events +=
        event({{"type", "end"}, {"status", status}, {"error", error_json(error)}, {"usage", usage.value_or(nullptr)}},
              content_end + 1);
  }
  return events;
}

RunLog log_of(const chat::Run& run, const chat::Message& message) {
  RunLog log{.reasoning = part(message.reasoning.value_or(""), run.reasoning),
             .content = part(message.content, run.content),
             .thought = run.thought,
             .reasoning_seconds = message.reasoning_seconds.value_or(0),
             .reasoning_tokens = run.reasoning_tokens,
             .tokens = run.tokens,
             .ended = run.status != "running",
             .status = run.status,
             .error = run.error};
  if (run.usage) log.usage = Json::parse(*run.usage, nullptr, false);
  return log;
}

Json error_json(const std::optional<chat::RunError>& error) {
  if (!error) return nullptr;
  return {{"code", error->code}, {"message", error->message}};
}

Json run_json(const chat::Run& run, const RunLog& log) {
  return {{"id", run.id},
          {"conversation_id", run.conversation_id},
          {"message_id", run.message_id},
          {"status", log.status},
          {"position", log.position()},
          {"model", run.model},
          {"error", error_json(log.error)},
          {"usage", log.usage.value_or(nullptr)}};
}

}  // namespace fathom::server::app
