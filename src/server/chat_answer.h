// POST /v1/chat/completions, the response: deltas of the engine to DeepSeek's and OpenAI's JSON, whole or as chunks.
#pragma once

#include <string>
#include <vector>

#include "server/answer_writer.h"

namespace fathom::server {

// What every chunk and the whole response repeat.
struct AnswerHead {
  std::string id;
  std::int64_t created = 0;
  std::string model;
  std::string fingerprint;
  int choices = 1;
  bool logprobs = false;
  bool include_usage = false;  // a stream's end in OpenAI's shape
};

const char* finish_name(engine::FinishReason reason);

// Tokens spent by all choices of a prompt; the prompt counts once.
class Usage {
 public:
  void add(const engine::AnswerDelta& last);
  Usage& operator+=(const Usage& other);  // of another prompt
  files::Json json() const;

 private:
  int prompt_ = 0, cached_ = 0, completion_ = 0, reasoning_ = 0;
};

// Log-probabilities of the tokens so far, kept apart for reasoning and answer.
class Logprobs {
 public:
  void add(const std::vector<engine::AnswerToken>& tokens, const tokens::Tokenizer& tokenizer);
  // Those that came since the last call (both kinds where both came), or null.
  files::Json take();
  files::Json take_reasoning();
  files::Json take_content();

 private:
  files::Json reasoning_ = files::Json::array(), content_ = files::Json::array();
};

// Server-sent events of a stream. Feed it every delta of every choice; it says when the last is written.
class ChunkWriter final : public StreamWriter {
 public:
  ChunkWriter(AnswerHead head, const tokens::Tokenizer& tokenizer);
  std::string open() override;  // the first delta of every choice: its role
  std::string write(int choice, const engine::AnswerDelta& delta) override;
  bool done() const override { return finished_ >= head_.choices; }

 private:
  std::string chunk(int choice, files::Json delta, files::Json logprobs) const;
  files::Json call_json(int choice, const engine::ToolCallDelta& call);
  std::string finish(int choice, const engine::AnswerDelta& last);
  files::Json envelope(files::Json choices) const;

  AnswerHead head_;
  const tokens::Tokenizer* tokenizer_;
  std::vector<Logprobs> logprobs_;
  std::vector<bool> has_calls_;
  Usage usage_;
  int finished_ = 0;
};

// The same as one response.
class AnswerCollector final : public ResponseWriter {
 public:
  AnswerCollector(AnswerHead head, const tokens::Tokenizer& tokenizer);
  void add(int choice, const engine::AnswerDelta& delta) override;
  bool done() const override { return finished_ >= head_.choices || failure_; }
  Response response() const override;

 private:
  struct Choice {
    std::string reasoning, content;
    std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
    Logprobs logprobs;
    std::string finish_reason;
  };
  AnswerHead head_;
  const tokens::Tokenizer* tokenizer_;
  std::vector<Choice> choices_;
  Usage usage_;
  std::optional<ApiError> failure_;
  int finished_ = 0;
};

}  // namespace fathom::server
