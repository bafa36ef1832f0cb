#include "server/app/import_run.h"

#include <spdlog/spdlog.h>

#include "server/app/answer_options.h"
#include "server/app/app_json.h"

namespace fathom::server::app {

namespace {

// A transaction of so much takes a moment, and answers that are being made are written between two of them.
constexpr std::size_t kBatchBytes = std::size_t{256} << 10;
constexpr std::size_t kBatchConversations = 32;
constexpr std::size_t kMostSkipped = 100;         // lines
constexpr std::chrono::minutes kLongestWait{10};  // for the next piece

std::size_t bytes_of(const chat::ImportedConversation& imported) {
  std::size_t bytes = 0;
  for (const chat::Message& m : imported.messages) bytes += m.content.size() + m.reasoning.value_or("").size();
  for (const chat::NewFile& file : imported.files) bytes += file.text.size();
  return bytes;
}

// What a stranger's export says of options counts only where the contract allows it.
void check_options_of(chat::ImportedConversation& imported) {
  const auto checked = check_options(stored_json(imported.conversation.options));
  imported.conversation.options = checked ? json_text(merged({&*checked})) : "{}";
}

}  // namespace

ImportRun::ImportRun(chat::Store& store, std::function<void()> ended)
    : store_(store), ended_(std::move(ended)), thread_([this] { read(); }) {}

ImportRun::~ImportRun() {
  stop();
}

void ImportRun::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool ImportRun::running() const {
  const std::lock_guard lock(mutex_);
  return state_ == "running";
}

std::chrono::steady_clock::time_point ImportRun::last_change() const {
  const std::lock_guard lock(mutex_);
  return last_change_;
}

Json ImportRun::json() const {
  const std::lock_guard lock(mutex_);
  return json_now();
}

Json ImportRun::json_now() const {
  return {{"state", state_},
          {"source", source_},
          {"read_bytes", read_},
          {"conversations", conversations_},
          {"messages", messages_},
          {"skipped", skipped_},
          {"error", error_.empty() ? Json(nullptr) : Json{{"code", "bad_import"}, {"message", error_}}}};
}

void ImportRun::wake() {
  last_change_ = std::chrono::steady_clock::now();
  for (const auto& [reader, wake] : wakes_) wake();
}

// ---- the thread

void ImportRun::read() {
  try {
    const auto whole =
        chat::read_import({.more = [this] { return more(); },
                           .take = [this](chat::ImportedConversation one) { return take(std::move(one)); },
                           .skipped = [this](std::string line) { skip(std::move(line)); }},
                          "");
    const bool kept = keep();
    if (kept) end(whole ? "" : whole.error().message);
  } catch (const std::exception& failure) {
    spdlog::error("an import failed: {}", failure.what());
    end("the server failed at this import");
  }
  ended_();
}

std::string ImportRun::more() {
  std::unique_lock lock(mutex_);
  if (error_.empty() && !changed_.wait_for(lock, kLongestWait, [this] { return piece_ || complete_ || stopping_; }))
    error_ = "the rest of the file never came";
  if (!piece_ || stopping_) return {};
  std::string piece = std::move(*piece_);
  piece_.reset();
  read_ += piece.size();
  wake();
  return piece;
}

bool ImportRun::take(chat::ImportedConversation imported) {
  check_options_of(imported);
  {
    const std::lock_guard lock(mutex_);
    source_ = imported.source;
    if (stopping_) return false;
  }
  batch_bytes_ += bytes_of(imported);
  batch_.push_back(std::move(imported));
  return (batch_bytes_ < kBatchBytes && batch_.size() < kBatchConversations) || keep();
}

bool ImportRun::keep() {
  const auto taken = store_.take_in(batch_);
  batch_.clear();
  batch_bytes_ = 0;
  if (!taken) {
    end(taken.error().message);
    return false;
  }
  for (const std::string& line : taken->skipped) skip(line);
  const std::lock_guard lock(mutex_);
  conversations_ += taken->conversations;
  messages_ += taken->messages;
  wake();
  return true;
}

void ImportRun::skip(std::string line) {
  const std::lock_guard lock(mutex_);
  if (skipped_.size() < kMostSkipped) skipped_.push_back(std::move(line));
}

void ImportRun::end(std::string error) {
  const std::lock_guard lock(mutex_);
  if (error_.empty()) error_ = stopping_ ? "the server was stopped during this import" : std::move(error);
  state_ = error_.empty() ? "done" : "failed";
  piece_.reset();
  wake();
}

// ---- the pieces

class ImportRun::PieceReply final : public LateResponse {
 public:
  PieceReply(std::shared_ptr<ImportRun> run, bool last) : run_(std::move(run)), last_(last) {}
  ~PieceReply() override {
    const std::lock_guard lock(run_->mutex_);
    run_->wakes_.erase(this);
  }

  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(run_->mutex_);
    run_->wakes_[this] = std::move(wake);
  }

  std::optional<Response> read() override {
    const std::lock_guard lock(run_->mutex_);
    const bool running = run_->state_ == "running";
    if (running && (last_ || run_->piece_)) return std::nullopt;
    return json_response(200, run_->json_now());
  }

 private:
  std::shared_ptr<ImportRun> run_;
  const bool last_;
};

Reply ImportRun::offer(std::uint64_t from, std::string bytes, bool last) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t end = from + bytes.size();
  if (state_ == "running" && end != received_) {
    if (from != received_ || piece_ || complete_)
      return error_reply(bad_request("from", fmt::format("expected {}, where the piece before ended", received_)));
    if (end > chat::kMostImportBytes)
      return error_reply({.status = 413,
                          .code = "too_large",
                          .message = fmt::format("an import has at most {} bytes", chat::kMostImportBytes)});
    piece_ = std::move(bytes);
    received_ = end;
  }
  complete_ = complete_ || last;
  changed_.notify_all();
  return std::make_unique<PieceReply>(shared_from_this(), last);
}

}  // namespace fathom::server::app
