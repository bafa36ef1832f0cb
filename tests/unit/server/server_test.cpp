// The server over real loopback sockets.
#include "server/server.h"

#include <gtest/gtest.h>

#include <thread>

#include "fake_model.h"
#include "files/json.h"
#include "test_client.h"

namespace fathom::server {
namespace {

using files::Json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kAsk = R"({"messages":[{"role":"user","content":"Hi"}]})";
constexpr std::string_view kAskStream = R"({"stream":true,"messages":[{"role":"user","content":"Hi"}]})";

int count(std::string_view text, std::string_view part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string body_of(std::string_view response) {
  const auto end = response.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string{} : std::string(response.substr(end + 4));
}

class ServerTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    options.port = 0;
    auto started = Server::start(std::move(options), {model_});
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }

  std::string once(std::string_view request) {
    TestClient client(server_->port());
    client.send(request);
    client.send(http_request("GET", "/health", {}, "Connection: close\r\n"));
    const std::string all = client.read_to_end();
    EXPECT_TRUE(client.closed());
    return all;
  }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>();
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AWholeAnswer) {
  start();
  TestClient client(server_->port());
  client.send(http_request("POST", kChat, kAsk));
  const std::string response = client.read_until("}}}");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(response.contains("Content-Type: application/json\r\n"));
  const Json json = Json::parse(body_of(response));
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["model"], "fake");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(json["choices"][0]["message"], Json({{"role", "assistant"}, {"content", "Hello!"}}));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["usage"]["completion_tokens"], 7);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 22);
}

TEST_F(ServerTest, AStreamArrivesAsItIsMade) {
  model_->engine().step = milliseconds(60);
  start();
  TestClient client(server_->port());
  client.send(http_request("POST", kChat, kAskStream));
  const std::string begin = client.read_until(R"("content":"H")");
  EXPECT_TRUE(begin.contains("Content-Type: text/event-stream\r\n"));
  EXPECT_TRUE(begin.contains("Cache-Control: no-cache, no-transform\r\n"));
  EXPECT_TRUE(begin.contains("X-Accel-Buffering: no\r\n"));
  EXPECT_TRUE(begin.contains("Transfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(begin.contains("[DONE]"));
  const std::string text = unchunked(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(count(text, "data: "), 9);  // role, six letters, finish, done
}

// Two models that take their time to load; one of them fails.
std::shared_ptr<ModelPool> slow_models(milliseconds load_time) {
  return std::make_shared<ModelPool>(
      ModelPool::Options{.look = [](const ModelSource&) -> base::Result<ModelFacts> { return ModelFacts{}; },
                         .load = [load_time](const ModelSource& source, std::uint64_t,
                                             const auto&) -> base::Result<std::shared_ptr<engine::LoadedModel>> {
                           std::this_thread::sleep_for(load_time);
                           if (source.name == "broken") return base::fail("broken: a tensor is missing");
                           return std::make_shared<FakeModel>(source.name);
                         }},
      std::vector<ModelSource>{{.name = "slow"}, {.name = "broken"}});
}

TEST_F(ServerTest, AStreamWaitsForItsModelWithSignsOfLife) {
  auto started = Server::start({.port = 0, .keep_alive = milliseconds(30)}, slow_models(milliseconds(200)));
  ASSERT_TRUE(started);
  TestClient client((*started)->port());
  client.send(http_request("POST", kChat, kAskStream));
  const std::string all = client.read_until("\r\n0\r\n\r\n");
  EXPECT_EQ(count(all, "HTTP/1.1"), 1);
  EXPECT_TRUE(all.contains("Content-Type: text/event-stream\r\n"));
  const std::string text = unchunked(all);
  EXPECT_TRUE(text.starts_with(": keep-alive\n\n")) << text;
  EXPECT_TRUE(text.contains(R"("content":"H")"));
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
  client.forget();
  client.send(http_request("POST", kChat, kAsk));
  EXPECT_TRUE(client.read_until("}}}").contains("Content-Length")) << "now it is there at once";
}

TEST_F(ServerTest, AModelThatDoesNotLoadEndsAStreamThatHasBegun) {
  auto started = Server::start({.port = 0, .keep_alive = milliseconds(30)}, slow_models(milliseconds(200)));
  ASSERT_TRUE(started);
  TestClient client((*started)->port());
  client.send(
      http_request("POST", kChat, R"({"model":"broken","stream":true,"messages":[{"role":"user","content":"Hi"}]})"));
  const std::string text = unchunked(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_TRUE(text.contains(R"(data: {"error":{"message":"broken: a tensor is missing")")) << text;
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
  client.forget();
  client.send(http_request("POST", kChat, R"({"model":"broken","messages":[{"role":"user","content":"Hi"}]})"));
  const std::string whole = client.read_until("\r\n0\r\n\r\n");
  EXPECT_TRUE(unchunked(whole).starts_with("\n")) << "blanks before a response that is late";
  EXPECT_EQ(Json::parse(unchunked(whole))["error"]["code"], "model_load_failed");
}

TEST_F(ServerTest, OthersAreAnsweredWhileAModelIsLoaded) {
  auto started = Server::start({.port = 0}, slow_models(seconds(1)));
  ASSERT_TRUE(started);
  TestClient waits((*started)->port()), gone((*started)->port()), other((*started)->port());
  waits.send(http_request("POST", kChat, kAsk));
  gone.send(http_request("POST", kChat, kAsk));
  gone.close();
  const auto start = steady_clock::now();
  other.send(http_request("GET", "/v1/models"));
  other.read_until("broken");
  EXPECT_LT(steady_clock::now() - start, milliseconds(700));
  EXPECT_TRUE(waits.read_until("}}}").contains("Hello!"));
}

TEST_F(ServerTest, ReasoningComesApartFromTheAnswer) {
  model_->say("<think>why</think>so");
  start();
  TestClient client(server_->port());
  client.send(http_request("POST", kChat, kAsk));
  const Json message = Json::parse(body_of(client.read_until("}}}")))["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "why");
  EXPECT_EQ(message["content"], "so");
}

TEST_F(ServerTest, StopStringsAndLimitsReachTheEngine) {
  start();
  TestClient client(server_->port());
  client.send(http_request("POST", kChat, R"({"stop":"lo","messages":[{"role":"user","content":"Hi"}]})"));
  EXPECT_TRUE(client.read_until("}}}").contains(R"("content":"Hel"})"));
  client.forget();
  client.send(http_request("POST", kChat, R"({"max_tokens":2,"messages":[{"role":"user","content":"Hi"}]})"));
  const std::string& cut = client.read_until("}}}");
  EXPECT_TRUE(cut.contains(R"("content":"He"})")) << cut;
  EXPECT_TRUE(cut.contains(R"("finish_reason":"length")"));
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrderOnOneConnection) {
  start();
  TestClient client(server_->port());
  client.send(http_request("GET", "/version") + http_request("POST", kChat, kAskStream) +
              http_request("GET", "/v1/models") + http_request("GET", "/nothing") +
              http_request("GET", "/health", {}, "Connection: close\r\n"));
  const std::string& all = client.read_to_end();
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(count(all, "HTTP/1.1 200 OK"), 4);
  EXPECT_EQ(count(all, "HTTP/1.1 404 Not Found"), 1);
  EXPECT_LT(all.find(R"("version")"), all.find("[DONE]"));
  EXPECT_LT(all.find("[DONE]"), all.find(R"("object":"list")"));
  EXPECT_LT(all.find(R"("object":"list")"), all.find(R"("status":"ok")"));
}

TEST_F(ServerTest, HeadHasNoBodyAndTheConnectionGoesOn) {
  start();
  const std::string all = once(http_request("HEAD", "/version"));
  EXPECT_EQ(count(all, "HTTP/1.1 200 OK"), 2);
  EXPECT_FALSE(all.contains(R"("version")"));
  EXPECT_TRUE(all.contains("Content-Length: 19\r\n"));
}

TEST_F(ServerTest, AClientThatHangsUpCancelsItsRuns) {
  model_->say(std::string(500, 'x'));
  model_->engine().step = milliseconds(20);
  start();
  for (const std::string_view body : {kAskStream, kAsk}) {
    const int before = model_->engine().cancelled();
    TestClient client(server_->port());
    client.send(http_request("POST", kChat, body));
    if (body == kAskStream) {
      client.read_until(R"("content":"x")");
    } else {
      while (model_->engine().running() == 0) std::this_thread::sleep_for(milliseconds(1));
    }
    const auto hung_up = steady_clock::now();
    client.close();
    EXPECT_TRUE(model_->engine().wait_for_cancelled(before + 1));
    EXPECT_LT(steady_clock::now() - hung_up, seconds(1));
  }
}

TEST_F(ServerTest, SignsOfLifeWhileNothingFlows) {
  model_->engine().prefill = milliseconds(250);
  start({.keep_alive = milliseconds(50)});
  TestClient stream(server_->port());
  stream.send(http_request("POST", kChat, kAskStream));
  const std::string events = unchunked(stream.read_until("\r\n0\r\n\r\n"));
  EXPECT_GE(count(events, ": keep-alive\n\n"), 2);
  EXPECT_TRUE(events.ends_with("data: [DONE]\n\n"));

  TestClient whole(server_->port());
  whole.send(http_request("POST", kChat, kAsk));
  const std::string body = unchunked(whole.read_until("\r\n0\r\n\r\n"));
  EXPECT_TRUE(body.starts_with("\n\n"));
  EXPECT_EQ(Json::parse(body)["choices"][0]["message"]["content"], "Hello!");
  whole.forget();
  whole.send(http_request("GET", "/health"));
  EXPECT_TRUE(whole.read_until("ok").contains("200 OK"));
}

TEST_F(ServerTest, AFailureInAStreamIsAnEvent) {
  model_->engine().fails_with = "the cache is full";
  start();
  TestClient client(server_->port());
  client.send(http_request("POST", kChat, kAskStream));
  const std::string text = unchunked(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_TRUE(text.contains(R"(data: {"error":{"message":"the cache is full","type":"server_error")"));
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerTest, Http10GetsAStreamThatEndsWithTheConnection) {
  start();
  TestClient client(server_->port());
  client.send(fmt::format("POST {} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", kChat, kAskStream.size(), kAskStream));
  const std::string& all = client.read_to_end();
  EXPECT_TRUE(client.closed());
  EXPECT_FALSE(all.contains("chunked"));
  EXPECT_TRUE(all.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerTest, AStrangeHostIsRefusedBeforeTheBody) {
  start();
  TestClient client(server_->port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000000\r\n\r\n");
  const std::string& all = client.read_until("}}");
  EXPECT_TRUE(all.starts_with("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_TRUE(all.contains("Connection: close\r\n"));
  EXPECT_TRUE(all.contains("host_not_allowed"));
}

TEST_F(ServerTest, WhatIsNoHttpIsRefused) {
  start();
  const auto status = [&](std::string_view text) {
    TestClient client(server_->port());
    client.send(text);
    return client.read_until("}}").substr(0, 12);
  };
  EXPECT_EQ(status("nonsense\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");  // no Host
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
                   "\r\n0\r\n\r\n"),
            "HTTP/1.1 400");
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n"), "HTTP/1.1 400");
}

TEST_F(ServerTest, ABodyOverTheLimitIs413InEitherForm) {
  start({.max_body_bytes = 1000});
  TestClient sized(server_->port());
  sized.send(http_request("POST", kChat, std::string(5000, ' ')));
  EXPECT_TRUE(sized.read_until("}}").starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(sized.read_to_end().contains("1000 bytes"));

  TestClient chunked(server_->port());
  chunked.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n",
                           kChat, std::string(2000, ' ')));
  EXPECT_TRUE(chunked.read_until("}}").starts_with("HTTP/1.1 413"));
}

TEST_F(ServerTest, AChunkedRequestBodyIsRead) {
  start();
  TestClient client(server_->port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send("8\r\n{\"conten\r\n");
  client.send("8\r\nt\":\"Hi\"}\r\n0\r\n\r\n");
  EXPECT_TRUE(client.read_until("}").contains(R"("count":2)"));
}

TEST_F(ServerTest, ContinueIsSaidToWhoWaitsForIt) {
  start();
  TestClient client(server_->port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(R"({"content":"Hi"})");
  EXPECT_TRUE(client.read_until("}").contains(R"("count":2)"));
}

TEST_F(ServerTest, SlowAndIdleClientsAreClosed) {
  start({.idle_limit = milliseconds(100), .header_limit = milliseconds(100), .body_limit = milliseconds(100)});
  for (const char* part :
       {"", "GET / HT", "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{"}) {
    TestClient client(server_->port());
    client.send(part);
    const auto begin = steady_clock::now();
    client.read_to_end();
    EXPECT_TRUE(client.closed()) << part;
    EXPECT_LT(steady_clock::now() - begin, seconds(2));
  }
}

TEST_F(ServerTest, AClientThatReadsNothingIsDroppedAndItsRunCancelled) {
  model_->say(std::string(200'000, 'x'));
  start({.write_limit = milliseconds(300)});
  TestClient client(server_->port());
  // So many tokens, each with twenty log-probabilities, are more than the sockets' buffers hold.
  client.send(
      http_request("POST", kChat,
                   R"({"stream":true,"logprobs":true,"top_logprobs":20,"messages":[{"role":"user","content":"Hi"}]})"));
  EXPECT_TRUE(model_->engine().wait_for_cancelled(1));
}

TEST_F(ServerTest, ManyStreamsAtOnceAllEnd) {
  model_->engine().step = milliseconds(5);
  start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<TestClient>(server_->port()));
    clients.back()->send(http_request("POST", kChat, kAskStream));
  }
  for (const auto& client : clients) {
    const std::string text = unchunked(client->read_until("\r\n0\r\n\r\n"));
    EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
    for (const char* letter : {"H", "e", "l", "o", "!"})
      EXPECT_TRUE(text.contains(fmt::format(R"("content":"{}")", letter))) << letter;
  }
}

TEST_F(ServerTest, StopLetsAnAnswerEndAndRefusesWhatComesAfter) {
  model_->engine().step = milliseconds(50);
  start();
  TestClient busy(server_->port()), idle(server_->port());
  idle.send(http_request("GET", "/health"));
  idle.read_until("ok");
  busy.send(http_request("POST", kChat, kAskStream));
  busy.read_until(R"("content":"H")");
  server_->stop();
  EXPECT_TRUE(unchunked(busy.read_to_end()).ends_with("data: [DONE]\n\n"));
  idle.read_to_end();
  EXPECT_TRUE(idle.closed());
  EXPECT_EQ(model_->engine().cancelled(), 0);
}

TEST_F(ServerTest, StopCancelsWhatTakesTooLong) {
  model_->say(std::string(1000, 'x'));
  model_->engine().step = milliseconds(50);
  start({.drain_limit = milliseconds(100)});
  TestClient client(server_->port());
  client.send(http_request("POST", kChat, kAskStream));
  client.read_until(R"("content":"x")");
  const auto begin = steady_clock::now();
  server_->stop();
  EXPECT_LT(steady_clock::now() - begin, seconds(3));
  EXPECT_TRUE(model_->engine().wait_for_cancelled(1));
}

TEST_F(ServerTest, WaitEndsWhenAskedTo) {
  start();
  std::jthread waiting([&](std::stop_token token) { server_->wait(token); });
  std::this_thread::sleep_for(milliseconds(20));
  waiting.request_stop();
  waiting.join();
}

TEST_F(ServerTest, ConnectionsOverTheLimitAreTurnedAway) {
  start({.max_connections = 1});
  TestClient first(server_->port());
  first.send(http_request("GET", "/health"));
  EXPECT_TRUE(first.read_until("ok").contains("200"));
  TestClient second(server_->port());
  EXPECT_TRUE(second.read_to_end().starts_with("HTTP/1.1 503"));
}

TEST(ServerStart, SaysWhatIsWrong) {
  auto model = std::make_shared<FakeModel>();
  auto first = Server::start({.port = 0}, {model});
  ASSERT_TRUE(first);
  EXPECT_EQ((*first)->url(), fmt::format("http://127.0.0.1:{}", (*first)->port()));
  const auto second = Server::start({.port = (*first)->port()}, {model});
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message.contains(fmt::format("port {}", (*first)->port())));
  EXPECT_TRUE(second.error().message.contains("in use"));
  EXPECT_FALSE(Server::start({.host = "no address"}, {model}));
  EXPECT_FALSE(Server::start({.port = 70000}, {model}));
  EXPECT_FALSE(Server::start({.port = 0}, std::vector<std::shared_ptr<engine::LoadedModel>>{}));
}

TEST(ServerStart, ListensOnIPv6) {
  auto server = Server::start({.host = "::1", .port = 0}, {std::make_shared<FakeModel>()});
  if (!server) GTEST_SKIP() << "this machine has no IPv6: " << server.error().message;
  EXPECT_EQ((*server)->url(), fmt::format("http://[::1]:{}", (*server)->port()));
}

}  // namespace
}  // namespace fathom::server
