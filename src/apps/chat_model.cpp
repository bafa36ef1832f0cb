#include "apps/chat_model.h"

#include <utility>

namespace fathom::apps {

using base::Result;

namespace {

class LocalModel final : public ChatModel {
 public:
  explicit LocalModel(std::unique_ptr<engine::LoadedModel> model) : model_(std::move(model)) {}

  const std::string& name() const override { return model_->name(); }
  const tokens::Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  const tokens::ChatTemplate& chat_template() const override { return model_->chat_template(); }
  const engine::SamplingOptions& default_sampling() const override { return model_->default_sampling(); }
  int context_length() const override { return model_->context_length(); }

  Result<void> start(ChatQuestion question, engine::AnswerSink sink) override {
    auto prompt = model_->chat_template().render(question.messages, {.thinking = question.thinking});
    if (!prompt) return std::unexpected(prompt.error());
    const auto run = engine::start_answer(
        *model_,
        {.prompt = std::move(*prompt), .sampling = std::move(question.sampling), .max_tokens = question.max_tokens},
        std::move(sink));
    if (!run) return std::unexpected(run.error());
    run_ = *run;
    return {};
  }
  void cancel() override { model_->engine().cancel(run_); }

 private:
  std::unique_ptr<engine::LoadedModel> model_;
  engine::RunId run_ = 0;
};

}  // namespace

std::unique_ptr<ChatModel> local_chat_model(std::unique_ptr<engine::LoadedModel> model) {
  return std::make_unique<LocalModel>(std::move(model));
}

}  // namespace fathom::apps
