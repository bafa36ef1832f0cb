// An answer as a row of blocks (a thought, a text, tool calls), each closed before the next opens: how Messages and
// Responses see it. What the blocks look like on the wire is the dialect's.
#pragma once

#include <functional>

#include "server/answer_writer.h"

namespace fathom::server {

struct AnswerBlock {
  enum class Kind { kReasoning, kText, kCall };
  Kind kind = Kind::kText;
  std::string text;                         // the thought, the text, or a call's arguments
  std::string name;                         // of a called function
  std::vector<engine::AnswerToken> tokens;  // of a thought or a text, where log-probabilities are wanted
};

// The blocks so far, and the last delta once it has come.
struct BlockAnswer {
  std::vector<AnswerBlock> blocks;
  engine::AnswerDelta last;

  bool calls() const;  // whether there is a tool call
};

// A stream by the events of its blocks. Has one choice.
class BlockStream : public StreamWriter {
 public:
  std::string write(int choice, const engine::AnswerDelta& delta) final;
  bool done() const final { return done_; }

 protected:
  // With the first delta, whose statistics know the prompt.
  virtual std::string begin(const engine::AnswerDelta& first) = 0;
  virtual std::string open_block(const AnswerBlock& block) = 0;
  virtual std::string piece(const AnswerBlock& block, const std::string& text) = 0;
  virtual std::string close_block(const AnswerBlock& block) = 0;
  virtual std::string end() = 0;  // last() says how
  virtual std::string fail(const ApiError& error) = 0;

  const BlockAnswer& answer() const { return answer_; }
  std::size_t index() const { return answer_.blocks.size() - 1; }  // of the block that is open

 private:
  std::string close_open_block();

  BlockAnswer answer_;
  bool begun_ = false, open_ = false, done_ = false;
};

// The same as one response, which `finish` writes.
class BlockResponse final : public ResponseWriter {
 public:
  explicit BlockResponse(std::function<Response(const BlockAnswer&)> finish) : finish_(std::move(finish)) {}
  void add(int choice, const engine::AnswerDelta& delta) override;
  bool done() const override { return answer_.last.finish != engine::FinishReason::kNone; }
  Response response() const override { return finish_(answer_); }

 private:
  BlockAnswer answer_;
  std::function<Response(const BlockAnswer&)> finish_;
};

// The error of a run that did not come to its own end; none for one that did.
std::optional<ApiError> run_error(const engine::AnswerDelta& last);

}  // namespace fathom::server
