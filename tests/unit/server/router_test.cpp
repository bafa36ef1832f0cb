#include "server/router.h"

#include <gtest/gtest.h>

#include <set>

#include "ask.h"
#include "server/request_record.h"

namespace fathom::server {
namespace {

using files::Json;

constexpr PageFile kPage[] = {{"/", "text/html; charset=utf-8", "\"abc\"", "<p>page</p>", "zipped", "brotlied"},
                              {"/assets/a-1.js", "text/javascript", "\"def\"", "a()", "", ""},
                              {"/preview.html", "text/html; charset=utf-8", "\"123\"", "<p>", "", ""}};

class RouterTest : public testing::Test {
 protected:
  Router router(AccessRules rules = {.bound_host = "127.0.0.1"}, std::string api_key = {}) {
    return Router({.models = ModelPool::of({model_, other_}, 1700000000),
                   .version = "9.9",
                   .metering = std::make_shared<Metering>(std::move(api_key), nullptr, PriceList{})},
                  std::move(rules), kPage);
  }

  static Request request(std::string method, std::string target, std::string body = {}) {
    return {.method = std::move(method),
            .target = std::move(target),
            .headers = {{"Host", "localhost"}},
            .body = std::move(body)};
  }

  // The response of a route that answers at once.
  Response ask(const Request& asked, AccessRules rules = {.bound_host = "127.0.0.1"}, std::string api_key = {}) {
    const Router table = router(std::move(rules), std::move(api_key));
    if (auto refused = table.refuse(asked)) return *refused;
    Reply reply = table.answer(asked);
    auto* response = std::get_if<Response>(&reply);
    EXPECT_NE(response, nullptr);
    return response == nullptr ? Response{.status = 0} : *response;
  }

  Json ask_json(const Request& asked) { return Json::parse(ask(asked).body); }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>("fake", 200);
  std::shared_ptr<FakeModel> other_ = std::make_shared<FakeModel>("org/other model");
};

TEST_F(RouterTest, ModelsAreListedAndFoundOneByOne) {
  for (const char* path : {"/v1/models", "/models", "/v1/models?limit=3"}) {
    const Json list = ask_json(request("GET", path));
    EXPECT_EQ(list["object"], "list");
    ASSERT_EQ(list["data"].size(), 2u);
    EXPECT_EQ(list["data"][0]["id"], "fake");
    EXPECT_EQ(list["data"][0]["object"], "model");
    EXPECT_EQ(list["data"][0]["created"], 1700000000);
    EXPECT_EQ(list["data"][0]["owned_by"], "fathom");
  }
  EXPECT_EQ(ask_json(request("GET", "/v1/models/fake"))["id"], "fake");
  EXPECT_EQ(ask_json(request("GET", "/models/org%2Fother%20model"))["id"], "org/other model");
  EXPECT_EQ(ask_json(request("GET", "/v1/models/org/other%20model"))["id"], "org/other model");
  EXPECT_EQ(ask(request("GET", "/v1/models/none")).status, 404);
  EXPECT_EQ(ask(request("GET", "/v1/models/%zz")).status, 404);
}

TEST_F(RouterTest, HealthAndVersion) {
  EXPECT_EQ(ask_json(request("GET", "/health")), Json({{"status", "ok"}}));
  EXPECT_EQ(ask_json(request("GET", "/version")), Json({{"version", "9.9"}}));
}

TEST_F(RouterTest, MetricsAreTextWithEveryModel) {
  const Response response = ask(request("GET", "/metrics"));
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line :
       {"# TYPE fathom_tokens_total counter\n", "fathom_tokens_total{model=\"fake\",phase=\"decode\"} 0\n",
        "fathom_runs{model=\"org/other model\",state=\"waiting\"} 0\n",
        "fathom_first_token_seconds_bucket{model=\"fake\",le=\"+Inf\"} 0\n"})
    EXPECT_TRUE(response.body.contains(line)) << line << response.body;
}

TEST_F(RouterTest, ARequestIsRecordedWithItsRow) {
  const auto recorded = [&](std::string_view method, std::string_view path) {
    Request asked = request(std::string(method), std::string(path));
    asked.record = std::make_shared<RequestRecord>();
    asked.record->id = "req_1";
    const Router table = router();
    (void)table.refuse(asked);
    const auto headers = table.extra_headers(asked);
    return fmt::format("{} {} {}", asked.record->route, asked.record->dialect, headers.size());
  };
  EXPECT_EQ(recorded("POST", "/v1/messages?beta=true"), "/v1/messages anthropic 2");
  EXPECT_EQ(recorded("GET", "/v1/models/any/thing"), "/v1/models/* openai 1");
  EXPECT_EQ(recorded("HEAD", "/health"), "/health fathom 1");
  EXPECT_EQ(recorded("GET", "/assets/a-1.js"), "page page 1");
  EXPECT_EQ(recorded("GET", "/secret/../path"), "none fathom 1");
}

TEST_F(RouterTest, NothingIsMeteredAndNoEmbeddingsAreMade) {
  EXPECT_EQ(ask_json(request("GET", "/user/balance")), Json::parse(R"({"is_available":true,"balance_infos":[]})"));
  for (const char* path : {"/v1/embeddings", "/embeddings"}) {
    const Response response = ask(request("POST", path, "{}"));
    EXPECT_EQ(response.status, 404);
    EXPECT_TRUE(Json::parse(response.body)["error"]["message"].get<std::string>().starts_with("no embeddings"));
  }
}

TEST_F(RouterTest, UnknownPathsAndMethodsAreNamed) {
  const Response missing = ask(request("GET", "/v1/nothing"));
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(Json::parse(missing.body)["error"]["code"], "not_found");
  const Response wrong = ask(request("GET", "/v1/chat/completions"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at(0).name, "Allow");
  EXPECT_EQ(ask(request("DELETE", "/v1/models")).status, 405);
  EXPECT_EQ(ask(request("HEAD", "/health")).status, 200);
}

TEST_F(RouterTest, EveryRouteButTheOpenOnesNeedsTheKey) {
  const Router locked = router({.bound_host = "127.0.0.1"}, "secret");
  int open = 0, closed = 0;
  for (const Router::Path& path : locked.paths()) {
    std::string target(path.path);
    if (target.ends_with('*')) target.back() = 'x';
    const auto refused = locked.refuse(request(std::string(path.method), target));
    EXPECT_EQ(refused.has_value(), !path.open) << path.path;
    EXPECT_EQ(refused ? refused->status : 401, 401) << path.path;
    ++(path.open ? open : closed);
  }
  EXPECT_EQ(open, 4);  // /health and the page's files
  EXPECT_GE(closed, 11);
  EXPECT_EQ(locked.refuse(request("GET", "/unknown"))->status, 401);
  Request with_key = request("GET", "/version");
  with_key.headers.push_back({"Authorization", "Bearer secret"});
  EXPECT_FALSE(locked.refuse(with_key));
}

std::string header_of(const Response& response, std::string_view name) {
  for (const Header& header : response.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

TEST_F(RouterTest, TheOpenApiDocumentNamesEveryRouteAndNoOther) {
  const Json document = ask_json(request("GET", "/openapi.json"));
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> described, routed;
  for (const auto& [path, methods] : document["paths"].items()) {
    std::string target = path;
    if (const auto brace = target.find('{'); brace != std::string::npos) target.replace(brace, std::string::npos, "*");
    for (const auto& [method, operation] : methods.items()) described.insert(method + " " + target);
  }
  for (const Router::Path& path : router().paths()) {
    if (std::ranges::find(kPage, path.path, &PageFile::path) == std::end(kPage))
      routed.insert(lower_case(path.method) + " " + std::string(path.path));
  }
  EXPECT_EQ(described, routed);
}

TEST_F(RouterTest, ThePageHasAPolicyAndAnETag) {
  const Response page = ask(request("GET", "/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<p>page</p>");
  const std::string policy = header_of(page, "Content-Security-Policy");
  EXPECT_TRUE(policy.starts_with("default-src 'self'"));
  EXPECT_FALSE(policy.contains("script-src"));  // so default-src says it: no inline script
  EXPECT_FALSE(policy.contains("sandbox"));
  EXPECT_EQ(header_of(page, "Cache-Control"), "no-cache");
  Request again = request("GET", "/");
  again.headers.push_back({"If-None-Match", "\"abc\""});
  EXPECT_EQ(ask(again).status, 304);
  EXPECT_EQ(ask(again).body, "");
}

TEST_F(RouterTest, AConversationsAddressIsThePage) {
  EXPECT_EQ(ask(request("GET", "/c/0199-abc")).body, "<p>page</p>");
  EXPECT_EQ(ask(request("GET", "/c/a/b")).status, 404);
  EXPECT_EQ(ask(request("GET", "/c/a.js")).status, 404);
}

TEST_F(RouterTest, APageFileComesInTheSmallestFormThatTheClientTakes) {
  const auto form = [&](std::string_view accepted) {
    Request get = request("GET", "/");
    get.headers.push_back({"Accept-Encoding", std::string(accepted)});
    const Response response = ask(get);
    EXPECT_EQ(header_of(response, "Vary"), "Accept-Encoding");
    return response.body + " " + header_of(response, "Content-Encoding");
  };
  EXPECT_EQ(form("gzip, deflate, br"), "brotlied br");
  EXPECT_EQ(form("gzip;q=0.5"), "zipped gzip");
  EXPECT_EQ(form("br;q=0, GZIP"), "zipped gzip");
  EXPECT_EQ(form("br;q=0.0"), "<p>page</p> ");
  EXPECT_EQ(form("identity, bro"), "<p>page</p> ");
}

TEST_F(RouterTest, HashedFilesAreKeptAndPreviewsAreShutIn) {
  EXPECT_EQ(header_of(ask(request("GET", "/assets/a-1.js")), "Cache-Control"), "public, max-age=31536000, immutable");
  const std::string policy = header_of(ask(request("GET", "/preview.html")), "Content-Security-Policy");
  EXPECT_TRUE(policy.starts_with("sandbox allow-scripts; default-src 'none'"));
  EXPECT_FALSE(policy.contains("allow-same-origin"));
}

TEST_F(RouterTest, APreflightIsAnsweredForConfiguredOriginsWithoutAKey) {
  const AccessRules rules{.bound_host = "127.0.0.1", .allowed_origins = {"https://app.example.com"}};
  Request preflight = request("OPTIONS", "/v1/chat/completions");
  preflight.headers.push_back({"Origin", "https://app.example.com"});
  const Response response = ask(preflight, rules, "k");
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.headers.at(0).name, "Access-Control-Allow-Methods");
  preflight.headers.back().value = "https://evil.example";
  EXPECT_EQ(ask(preflight, rules, "k").status, 403);
}

TEST_F(RouterTest, TokenizeAndBack) {
  const Json ids = ask_json(request("POST", "/tokenize", R"({"content":"Hi <|end|>"})"));
  EXPECT_EQ(ids["count"], 10);
  EXPECT_EQ(ids["tokens"][0], 'H');
  EXPECT_EQ(ids["max_model_len"], 200);
  EXPECT_EQ(ask_json(request("POST", "/tokenize", R"({"prompt":"Hi <|end|>","parse_special":true})"))["tokens"],
            Json::array({'H', 'i', ' ', kEnd}));
  EXPECT_EQ(ask_json(request("POST", "/detokenize", R"({"tokens":[72,105]})"))["content"], "Hi");
  EXPECT_EQ(ask(request("POST", "/tokenize", "{}")).status, 422);
  EXPECT_EQ(ask(request("POST", "/detokenize", R"({"tokens":[259]})")).status, 422);
  EXPECT_EQ(ask(request("POST", "/detokenize", R"({"tokens":[-1]})")).status, 422);
  EXPECT_EQ(ask(request("POST", "/detokenize", R"({"tokens":[1.5]})")).status, 422);
  EXPECT_EQ(ask(request("POST", "/detokenize", R"({"tokens":"x"})")).status, 422);
}

TEST_F(RouterTest, TheTemplateIsApplied) {
  const char* body = R"({"messages":[{"role":"user","content":"Hi"}]})";
  EXPECT_EQ(ask_json(request("POST", "/apply-template", body))["prompt"], "[user] Hi\n[assistant] ");
  EXPECT_EQ(ask_json(request("POST", "/tokenize", body))["count"], 22);
  EXPECT_EQ(
      ask_json(request("POST", "/apply-template",
                       R"({"messages":[{"role":"user","content":"Hi"}],"thinking":{"type":"enabled"}})"))["prompt"],
      "[user] Hi\n[assistant] <think>");
  EXPECT_EQ(ask_json(request("POST", "/apply-template",
                             R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"He",)"
                             R"("prefix":true}]})"))["prompt"],
            "[user] Hi\n[assistant] He");
  EXPECT_EQ(ask(request("POST", "/apply-template",
                        R"({"messages":[{"role":"assistant","content":"He","prefix":true},)"
                        R"({"role":"user","content":"Hi"}]})"))
                .status,
            400);
  EXPECT_EQ(ask(request("POST", "/apply-template", "{}")).status, 400);
}

TEST_F(RouterTest, APrefixIsContinuedOnEveryChatPath) {
  const Json body = Json::parse(R"({"messages":[{"role":"user","content":"Hi"},
    {"role":"assistant","content":"He","prefix":true}]})");
  const Asker asker({model_});
  for (const char* path : {"/v1/chat/completions", "/chat/completions", "/beta/chat/completions"}) {
    EXPECT_EQ(asker.post(path, body).status, 200) << path;
    EXPECT_EQ(model_->engine().runs().back()->prompt, model_->tokenizer().encode("[user] Hi\n[assistant] He", false));
  }
  Json other = body;
  other["messages"][1]["role"] = "user";
  EXPECT_EQ(asker.post("/beta/chat/completions", other).status, 400);
}

TEST_F(RouterTest, ChatErrorsComeBeforeAnyRun) {
  const auto status = [&](std::string body) {
    return ask(request("POST", "/v1/chat/completions", std::move(body))).status;
  };
  EXPECT_EQ(status("{nonsense"), 400);
  EXPECT_EQ(status("[]"), 400);
  EXPECT_EQ(status(R"({"model":"nothing","messages":[{"role":"user","content":"x"}]})"), 404);
  EXPECT_EQ(status(R"({"model":5,"messages":[{"role":"user","content":"x"}]})"), 422);
  EXPECT_EQ(status(R"({"messages":[{"role":"user","content":"x"}],"temperature":9})"), 422);
  EXPECT_TRUE(model_->engine().runs().empty());
}

TEST_F(RouterTest, AContextOverflowNamesTheNumbers) {
  const std::string text(300, 'a');
  const Response response =
      ask(request("POST", "/v1/chat/completions", R"({"messages":[{"role":"user","content":")" + text + R"("}]})"));
  EXPECT_EQ(response.status, 400);
  const Json error = Json::parse(response.body)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  // "[user] " and a line end, "[assistant] ": 20 bytes around the text.
  for (const char* number : {"320", "200", "199", "121"})
    EXPECT_TRUE(error["message"].get<std::string>().contains(number)) << error["message"];
}

TEST_F(RouterTest, AFullQueueIs503) {
  model_->engine().full = true;
  const Response response =
      ask(request("POST", "/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})"));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.at(0).name, "Retry-After");
}

TEST_F(RouterTest, ADroppedReplyCancelsTheRunsOfAllItsChoices) {
  other_->engine().step = std::chrono::milliseconds(20);
  const Router table = router();
  {
    const Reply reply = table.answer(request(
        "POST", "/v1/chat/completions",
        R"({"model":"org/other model","seed":5,"n":3,"stream":true,"messages":[{"role":"user","content":"x"}]})"));
    ASSERT_TRUE(std::holds_alternative<std::unique_ptr<EventStream>>(reply));
    const auto runs = other_->engine().runs();
    ASSERT_EQ(runs.size(), 3u);
    EXPECT_EQ(runs[0]->sampling.seed, 5u);
    EXPECT_EQ(runs[2]->sampling.seed, 7u);
  }
  EXPECT_TRUE(other_->engine().wait_for_cancelled(3));
}

}  // namespace
}  // namespace fathom::server
