// A model whose engine says what a test tells it to, one byte a token, at the pace it is told; tokenizer, template and
// everything above the engine are the real ones.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine/loaded_model.h"

namespace fathom::server {

constexpr tokens::TokenId kEnd = 256, kThink = 257, kEndThink = 258;

// Byte-level BPE without merges: the id of a byte is its place in GPT-2's alphabet; then the control tokens, and after
// them those that a test adds.
tokens::Tokenizer byte_tokenizer(const std::vector<std::string>& further = {});

class FakeEngine final : public engine::Engine {
 public:
  explicit FakeEngine(int context) : context_(context) {}
  ~FakeEngine() override;

  base::Result<engine::RunId> submit(engine::Run run, engine::TokenSink sink) override;
  void cancel(engine::RunId id) override;
  int context_length() const override { return context_; }

  // What every run says. It ends with kStop after the last token, with kLength at its limit.
  std::vector<tokens::TokenId> says;
  std::chrono::milliseconds prefill{0};
  std::chrono::milliseconds step{0};
  bool full = false;       // refuses every run
  std::string fails_with;  // after what it says, instead of stopping

  std::vector<std::shared_ptr<const engine::Run>> runs();  // those submitted so far
  int cancelled();                                         // runs that ended because they were cancelled
  int running();
  bool wait_for_cancelled(int count);

 private:
  bool play(std::stop_token stop, engine::RunId id, const engine::Run& run, const engine::TokenSink& sink);
  bool pause(std::stop_token stop, engine::RunId id, std::chrono::milliseconds time);

  int context_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::shared_ptr<engine::Run>> runs_;
  std::vector<bool> cancel_asked_;
  int cancelled_ = 0, running_ = 0;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

class FakeModel : public engine::LoadedModel {
 public:
  explicit FakeModel(std::string name = "fake", int context = 2000, const std::vector<std::string>& further = {});

  const std::string& name() const override { return name_; }
  const tokens::Tokenizer& tokenizer() const override { return tokenizer_; }
  const tokens::ChatTemplate& chat_template() const override { return template_; }
  FakeEngine& engine() override { return engine_; }
  const engine::SamplingOptions& default_sampling() const override { return defaults_; }
  std::span<const tokens::TokenId> stop_tokens() const override { return {&kEnd, 1}; }
  int context_length() const override { return engine_.context_length(); }

  void say(std::string_view text);  // control tokens by their names

 private:
  std::string name_;
  tokens::Tokenizer tokenizer_;
  tokens::ChatTemplate template_;
  engine::SamplingOptions defaults_{.temperature = 0.6f, .top_p = 0.95f};
  FakeEngine engine_;
};

}  // namespace fathom::server
