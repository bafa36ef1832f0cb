#include "engine/answer.h"

#include <algorithm>
#include <optional>

#include "tokens/reasoning_reader.h"
#include "tokens/tool_call_reader.h"

namespace fathom::engine {

using base::Result;
using tokens::TokenId;

namespace {

// Content on its way out, held back while its end could be the beginning of a stop string.
class StopText {
 public:
  explicit StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {
    std::erase_if(stops_, [](const std::string& s) { return s.empty(); });
  }

  // Text that may go out now; sets `hit` when a stop string has come, and nothing after it goes out.
  std::string push(const std::string& text, std::optional<std::string>& hit) {
    if (stops_.empty()) return text;
    held_ += text;
    std::size_t at = std::string::npos;
    for (const std::string& stop : stops_)
      if (const std::size_t found = held_.find(stop); found < at) {
        at = found;
        hit = stop;
      }
    if (hit) return held_.substr(0, at);
    std::size_t keep = 0;
    for (const std::string& stop : stops_)
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
        if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) {
          keep = n;
          break;
        }
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, out.size());
    return out;
  }
  std::string flush() { return std::exchange(held_, {}); }

 private:
  std::vector<std::string> stops_;
  std::string held_;
};

// One answer under way; lives in the sink, on the engine's thread.
class AnswerStream {
 public:
  AnswerStream(const LoadedModel& model, const AnswerRequest& request, AnswerSink sink)
      : reader_(model.tokenizer(), request.prompt.opens_thinking,
                tokens::tool_tokens(model.tokenizer(), request.tools)),
        stops_(request.stop),
        sink_(std::move(sink)),
        logprobs_(request.sampling.top_logprobs >= 0) {
    if (request.plain) plain_.emplace(model.tokenizer(), true);
    if (request.tools != tokens::ToolSyntax::kNone) calls_.emplace(request.tools);
  }

  bool take(const TokenEvent& event, const RunStatistics& statistics) {
    AnswerDelta delta;
    std::optional<std::string> hit;
    const bool has_text = event.token >= 0 && event.finish != FinishReason::kStop;
    if (has_text) {
      const auto text = read(event.token);
      if (text.in_reasoning) ++reasoning_tokens_;
      delta.reasoning = text.reasoning;
      delta.content = stops_.push(without_calls(text.content, false, delta), hit);
      if (logprobs_) delta.tokens.push_back({event.token, event.logprob, event.top, text.in_reasoning});
    }
    if (hit) {
      delta.finish = FinishReason::kStop;
      delta.stop_text = *hit;
    } else if (event.finish != FinishReason::kNone) {
      const auto rest = flush();
      delta.reasoning += rest.reasoning;
      delta.content += stops_.push(without_calls(rest.content, true, delta), hit);
      if (!hit) delta.content += stops_.flush();
      delta.finish = hit ? FinishReason::kStop : event.finish;
      delta.stop_text = hit.value_or("");
      delta.error = event.error;
    }
    delta.statistics = statistics;
    delta.reasoning_tokens = reasoning_tokens_;
    sink_(delta);
    return delta.finish == FinishReason::kNone;
  }

 private:
  using Text = tokens::ReasoningReader::Text;

  Text read(TokenId id) { return plain_ ? Text{.content = plain_->push(id)} : reader_.push(id); }
  Text flush() { return plain_ ? Text{.content = plain_->flush()} : reader_.flush(); }

  // The text without the calls of tools in it, which go into the delta. `last`: the answer is over.
  std::string without_calls(const std::string& text, bool last, AnswerDelta& delta) {
    if (!calls_) return text;
    std::string content;
    const auto add = [&](tokens::ToolCallReader::Text part) {
      content += part.content;
      for (tokens::ToolCallPiece& piece : part.calls)
        delta.tool_calls.push_back({piece.index, std::move(piece.name), std::move(piece.arguments)});
    };
    add(calls_->push(text));
    if (last) add(calls_->flush());
    return content;
  }

  tokens::ReasoningReader reader_;
  std::optional<tokens::Detokenizer> plain_;
  std::optional<tokens::ToolCallReader> calls_;
  StopText stops_;
  AnswerSink sink_;
  bool logprobs_;
  int reasoning_tokens_ = 0;
};

}  // namespace

Result<RunId> start_answer(LoadedModel& model, AnswerRequest request, AnswerSink sink) {
  Run run{.prompt = request.prompt_ids.empty() ? model.tokenizer().encode(request.prompt.prompt) : request.prompt_ids,
          .sampling = request.sampling,
          .max_tokens = request.max_tokens,
          .stop_tokens = {model.stop_tokens().begin(), model.stop_tokens().end()},
          .ignore_stop = request.ignore_stop,
          .owner = request.owner,
          .constraint = request.constraint ? request.constraint() : nullptr};
  auto stream = std::make_shared<AnswerStream>(model, request, std::move(sink));
  return model.engine().submit(std::move(run), [stream](const TokenEvent& event, const RunStatistics& statistics) {
    return stream->take(event, statistics);
  });
}

}  // namespace fathom::engine
