// Between the runs of a request and the writer of its dialect.
#include "server/answer_writer.h"

#include <openssl/rand.h>

#include <array>

namespace fathom::server {

namespace {

class AnswerStream final : public EventStream {
 public:
  AnswerStream(RunGroup runs, std::unique_ptr<StreamWriter> writer)
      : runs_(std::move(runs)), writer_(std::move(writer)) {}

  void set_wake(std::function<void()> wake) override { runs_.set_wake(std::move(wake)); }
  std::string_view content_type() const override { return writer_->content_type(); }
  std::string keep_alive() const override { return writer_->keep_alive(); }

  Events read() override {
    Events events;
    if (!std::exchange(opened_, true)) events.text = writer_->open();
    for (const ChoiceDelta& arrived : runs_.take()) {
      if (!writer_->done()) events.text += writer_->write(arrived.choice, arrived.delta);
    }
    events.done = writer_->done();
    return events;
  }

 private:
  RunGroup runs_;
  std::unique_ptr<StreamWriter> writer_;
  bool opened_ = false;
};

class WholeAnswer final : public LateResponse {
 public:
  WholeAnswer(RunGroup runs, std::unique_ptr<ResponseWriter> writer)
      : runs_(std::move(runs)), writer_(std::move(writer)) {}

  void set_wake(std::function<void()> wake) override { runs_.set_wake(std::move(wake)); }

  std::optional<Response> read() override {
    for (const ChoiceDelta& arrived : runs_.take()) writer_->add(arrived.choice, arrived.delta);
    if (!writer_->done()) return std::nullopt;
    return writer_->response();
  }

 private:
  RunGroup runs_;
  std::unique_ptr<ResponseWriter> writer_;
};

}  // namespace

Reply reply_with(RunGroup runs, std::unique_ptr<StreamWriter> writer) {
  return std::make_unique<AnswerStream>(std::move(runs), std::move(writer));
}

Reply reply_with(RunGroup runs, std::unique_ptr<ResponseWriter> writer) {
  return std::make_unique<WholeAnswer>(std::move(runs), std::move(writer));
}

std::optional<ApiError> failure_of(const engine::AnswerDelta& last) {
  if (last.finish == engine::FinishReason::kFailed)
    return ApiError{.status = 500, .message = last.error, .code = "generation_failed"};
  if (last.finish == engine::FinishReason::kExpired)
    return ApiError{.status = 503, .message = last.error, .code = "queue_timeout"};
  return std::nullopt;
}

std::string data_event(const files::Json& data) {
  return "data: " + json_text(data) + "\n\n";
}

std::string named_event(std::string_view name, const files::Json& data) {
  return fmt::format("event: {}\n{}", name, data_event(data));
}

std::string new_id(std::string_view prefix) {
  std::array<unsigned char, 12> bytes{};
  FATHOM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string id(prefix);
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

}  // namespace fathom::server
