// The chat app with a model that says what it is told to, asked without sockets.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>

#include "fake_model.h"
#include "server/app/app.h"

namespace fathom::server::app {

inline constexpr const char* kTalk = "conversation-a";

class AppTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = chat::Store::open("");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    const int file = mkstemp(ledger_path_.data());
    ASSERT_GE(file, 0);
    ::close(file);
    start();
    ASSERT_EQ(ask("PATCH", "/app/settings", {{"titles", false}}).status, 200);
  }
  void TearDown() override {
    app_.reset();
    unlink(ledger_path_.c_str());
  }

  void start() {
    app_.reset();
    auto database = ServerDatabase::open(ledger_path_);
    ASSERT_TRUE(database) << database.error().message;
    metering_ =
        std::make_shared<Metering>("", *database, PriceList{.models = {{"fake", {.cache_miss = 2, .output = 8}}}});
    auto made = App::make(
        {.kept = store_, .models = ModelPool::of({model_}), .version = "9.9", .folder = "/", .metering = metering_});
    ASSERT_TRUE(made) << made.error().message;
    app_ = std::move(*made);
  }

  struct Answer {
    int status = 0;
    Json body;
    std::string text;
    std::vector<Header> headers;
  };
  Reply reply_to(const std::string& method, const std::string& target, const Json& body = nullptr,
                 std::vector<Header> headers = {}) {
    ModelWait wait;
    return app_->answer({.method = method,
                         .target = target,
                         .headers = std::move(headers),
                         .body = body.is_null() ? "" : json_text(body)},
                        wait);
  }
  // Bytes, as files are sent.
  Answer send(const std::string& target, const std::string& bytes,
              const std::string& type = "application/octet-stream") {
    ModelWait wait;
    Reply reply =
        app_->answer({.method = "PUT", .target = target, .headers = {{"Content-Type", type}}, .body = bytes}, wait);
    return answered(std::move(reply));
  }
  Answer ask(const std::string& method, const std::string& target, const Json& body = nullptr,
             std::vector<Header> headers = {}) {
    return answered(reply_to(method, target, body, std::move(headers)));
  }
  static Answer answered(Reply reply) {
    if (auto* late = std::get_if<std::unique_ptr<LateResponse>>(&reply)) {
      std::optional<Response> response;
      wait(**late, [&] { return (response = (*late)->read()).has_value(); });
      return response ? answer_of(*response) : Answer{};
    }
    auto* response = std::get_if<Response>(&reply);
    return response == nullptr ? Answer{} : answer_of(*response);
  }
  static Answer answer_of(const Response& response) {
    return {response.status, Json::parse(response.body, nullptr, false), response.body, response.headers};
  }
  // Reads until `done` says so, five seconds at most.
  static void wait(PendingReply& reply, const std::function<bool()>& done) {
    struct Signal {
      std::mutex mutex;
      std::condition_variable changed;
      bool set = false;
    };
    auto signal = std::make_shared<Signal>();
    reply.set_wake([signal] {
      const std::lock_guard lock(signal->mutex);
      signal->set = true;
      signal->changed.notify_all();
    });
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!done() && std::chrono::steady_clock::now() < limit) {
      std::unique_lock lock(signal->mutex);
      signal->changed.wait_until(lock, limit, [&] { return signal->set; });
      signal->set = false;
    }
  }
  // All of a stream, or until `enough` stands in it.
  static std::string read_stream(EventStream& stream, const std::string& enough = "\n\n\n") {
    std::string text;
    wait(stream, [&] {
      auto events = stream.read();
      text += events.text;
      return events.done || text.contains(enough);
    });
    return text;
  }
  std::string events_of(const std::string& run, std::int64_t from = 0) {
    Reply reply = reply_to("GET", fmt::format("/app/runs/{}/events?from={}", run, from));
    auto* stream = std::get_if<std::unique_ptr<EventStream>>(&reply);
    return stream == nullptr ? "no stream" : read_stream(**stream);
  }

  static Json wish(const std::string& id, const std::string& question, const Json& parent = nullptr) {
    return {{"id", "run-0000" + id},
            {"conversation", {{"id", kTalk}}},
            {"parent_id", parent},
            {"message", {{"id", "question-" + id}, {"content", question}}},
            {"answer_id", "answer-" + id}};
  }
  // A whole turn, ended.
  void turn(const std::string& id, const std::string& question, const Json& parent = nullptr) {
    const Answer begun = ask("POST", "/app/runs", wish(id, question, parent));
    ASSERT_EQ(begun.status, 201) << begun.text;
    ASSERT_TRUE(events_of("run-0000" + id).contains("event: end"));
  }
  Json talk() { return ask("GET", std::string("/app/conversations/") + kTalk).body; }
  std::string last_prompt() { return model_->tokenizer().decode(model_->engine().runs().back()->prompt, true); }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>("fake", 2000);
  std::shared_ptr<chat::Store> store_;
  std::string ledger_path_ = testing::TempDir() + "app_test_XXXXXX";
  std::shared_ptr<Metering> metering_;
  std::unique_ptr<App> app_;
};

}  // namespace fathom::server::app
