// The chat app's routes with a model that says what it is told to, without sockets.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "app_fixture.h"
#include "engine/owner.h"
#include "server/app/app_routes.h"

namespace fathom::server::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(AppTest, EveryOperationOfTheContractIsRoutedAndNoOther) {
  std::ifstream file(std::string(FATHOM_SOURCE_DIR) + "/web/api/app.yaml");
  ASSERT_TRUE(file);
  std::set<std::string> promised, routed;
  std::string path, operation;
  for (std::string line; std::getline(file, line);) {
    if (line == "components:") break;
    if (line.starts_with("  /app/")) path = line.substr(2, line.size() - 3);
    for (const char* method : {"get", "post", "put", "patch", "delete"}) {
      if (line != fmt::format("    {}:", method)) continue;
      std::string upper;
      for (const char* c = method; *c != 0; ++c) upper += static_cast<char>(*c - 'a' + 'A');
      operation = upper + " " + path;
      promised.insert(operation);
    }
    if (line.starts_with("      x-wave:")) promised.erase(operation);
  }
  for (const AppRoute& route : app_routes()) routed.insert(fmt::format("{} {}", route.method, route.path));
  EXPECT_GT(promised.size(), 20u);
  EXPECT_EQ(promised, routed);
}

TEST_F(AppTest, AQuestionIsAnsweredAndKept) {
  model_->say("<think>why</think>so");
  const Answer begun = ask("POST", "/app/runs", wish("1", "What?"));
  ASSERT_EQ(begun.status, 201) << begun.text;
  EXPECT_EQ(begun.body["status"], "running");
  EXPECT_EQ(begun.body["message_id"], "answer-1");
  const std::string events = events_of("run-00001");
  EXPECT_TRUE(events.contains(R"("type":"reasoning_end")")) << events;
  EXPECT_TRUE(events.contains(R"("type":"end","status":"done","error":null)")) << events;
  EXPECT_EQ(last_prompt(), "[user] What?\n[assistant] ");

  const Json conversation = talk();
  EXPECT_EQ(conversation["conversation"]["title"], "What?");
  EXPECT_EQ(conversation["conversation"]["leaf_id"], "answer-1");
  EXPECT_EQ(conversation["conversation"]["run_id"], nullptr);
  const Json& answer = conversation["messages"][1];
  EXPECT_EQ(answer["content"], "so");
  EXPECT_EQ(answer["reasoning"], "why");
  EXPECT_EQ(answer["status"], "done");
  EXPECT_EQ(answer["model"], "fake");
  EXPECT_EQ(answer["run"], nullptr);
  EXPECT_EQ(answer["usage"]["output_tokens"], 8);
  EXPECT_EQ(answer["usage"]["reasoning_tokens"], 5);
  EXPECT_EQ(answer["usage"]["cached_tokens"], 3);
  EXPECT_EQ(answer["usage"]["context_length"], 2000);

  turn("2", "And then?", "answer-1");
  EXPECT_EQ(last_prompt(), "[user] What?\n[assistant] so\n[user] And then?\n[assistant] ");
}

TEST_F(AppTest, TheSameRunAgainIsAnsweredAsTheFirstTime) {
  turn("1", "What?");
  const Answer again = ask("POST", "/app/runs", wish("1", "What?"));
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body["status"], "done");
  EXPECT_EQ(model_->engine().runs().size(), 1u);
  const Answer other = ask("POST", "/app/runs", wish("1", "Something else?"));
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.body["error"]["code"], "id_taken");
}

TEST_F(AppTest, ARunIsReadFromAnyPositionByAnyNumberOfReaders) {
  model_->say("<think>하나</think>둘 셋");
  model_->engine().step = milliseconds(2);
  ASSERT_EQ(ask("POST", "/app/runs", wish("1", "Count")).status, 201);
  Reply reply = reply_to("GET", "/app/runs/run-00001/events");
  auto& first = *std::get<std::unique_ptr<EventStream>>(reply);
  const std::string live = read_stream(first);
  const auto text_in = [](const std::string& events, std::string_view type) {
    std::string text;
    for (std::size_t at = 0; (at = events.find("data: ", at)) != events.npos; ++at) {
      const Json data = Json::parse(events.substr(at + 6, events.find('\n', at) - at - 6));
      if (data["type"] == type) text += data["text"].get<std::string>();
    }
    return text;
  };
  EXPECT_TRUE(live.starts_with("event: prefill\n")) << live;
  EXPECT_EQ(text_in(live, "reasoning"), "하나");
  EXPECT_EQ(text_in(live, "content"), "둘 셋");
  // Whoever saw any beginning of it gets exactly the rest, from memory as from the database.
  std::string seen_reasoning, seen_content;
  for (std::size_t at = 0; (at = live.find("id: ", at)) != live.npos; ++at) {
    const std::int64_t position = std::stoll(live.substr(at + 4));
    const std::string before = live.substr(0, at), rest = events_of("run-00001", position);
    EXPECT_EQ(text_in(before, "reasoning") + text_in(rest, "reasoning"), "하나") << position;
    EXPECT_EQ(text_in(before, "content") + text_in(rest, "content"), "둘 셋") << position;
    EXPECT_TRUE(rest.contains("event: end")) << position;
  }
  EXPECT_EQ(events_of("run-00001").find("event: content"), events_of("run-00001").rfind("event: content"));  // joined
  EXPECT_EQ(ask("GET", "/app/runs/run-00001/events?from=x").status, 400);
  EXPECT_EQ(ask("GET", "/app/runs/run-none1/events").status, 404);
}

TEST_F(AppTest, ARunningAnswerIsShownAsItStandsAndStops) {
  model_->say(std::string(1000, 'x'));
  model_->engine().step = milliseconds(5);
  ASSERT_EQ(ask("POST", "/app/runs", wish("1", "Go on")).status, 201);
  Reply reply = reply_to("GET", "/app/runs/run-00001/events");
  read_stream(*std::get<std::unique_ptr<EventStream>>(reply), "\"text\"");
  const Json running = talk();
  EXPECT_EQ(running["conversation"]["run_id"], "run-00001");
  const Json& message = running["messages"][1];
  EXPECT_EQ(message["status"], "running");
  EXPECT_EQ(message["run"]["id"], "run-00001");
  EXPECT_EQ(message["run"]["position"], message["content"].get<std::string>().size());
  EXPECT_GT(message["content"].get<std::string>().size(), 0u);

  const Answer second = ask("POST", "/app/runs", wish("2", "Wait", "answer-1"));
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.body["error"]["code"], "run_in_progress");
  EXPECT_EQ(second.body["error"]["run_id"], "run-00001");

  const Answer stopped = ask("POST", "/app/runs/run-00001/stop");
  EXPECT_EQ(stopped.status, 200);
  EXPECT_EQ(stopped.body["status"], "stopped");
  const Json after = talk()["messages"][1];
  EXPECT_EQ(after["status"], "stopped");
  EXPECT_TRUE(after["content"].get<std::string>().starts_with(message["content"].get<std::string>()));
  EXPECT_EQ(ask("POST", "/app/runs/run-00001/stop").body["status"], "stopped");
}

TEST_F(AppTest, AnAnswerThatWasCutOffIsContinued) {
  model_->say("<think>hm</think>one, two");
  Json first = wish("1", "Count");
  first["options"] = {{"max_tokens", 7}};
  ASSERT_EQ(ask("POST", "/app/runs", first).status, 201);
  events_of("run-00001");
  ASSERT_EQ(talk()["messages"][1]["status"], "length");
  const std::string begun = talk()["messages"][1]["content"];
  model_->say(", three");
  const Json on = {
      {"id", "run-00002"}, {"conversation", {{"id", kTalk}}}, {"continue_id", "answer-1"}, {"answer_id", "answer-1"}};
  ASSERT_EQ(ask("POST", "/app/runs", on).status, 201);
  const std::string events = events_of("run-00002");
  EXPECT_FALSE(events.contains("event: reasoning")) << events;
  EXPECT_EQ(last_prompt(), "[user] Count\n[assistant] " + begun);
  const Json answer = talk()["messages"][1];
  EXPECT_EQ(answer["content"], begun + ", three");
  EXPECT_EQ(answer["reasoning"], "hm");
  EXPECT_EQ(answer["status"], "done");
  Json again = on;
  again["id"] = "run-00003";
  EXPECT_EQ(ask("POST", "/app/runs", again).body["error"]["code"], "not_continuable");
}

TEST_F(AppTest, AThoughtIsBroughtToItsEndAtItsBudget) {
  // The prompt opens the thought, and what is said becomes the answer once the thought is closed for it.
  model_->say(std::string(100, 't'));
  model_->engine().step = milliseconds(1);
  Json asked = wish("1", "Think");
  asked["options"] = {{"thinking", true}, {"thinking_budget", 20}};
  ASSERT_EQ(ask("POST", "/app/runs", asked).status, 201);
  const std::string events = events_of("run-00001");
  EXPECT_TRUE(events.contains("reasoning_end")) << events;
  const Json answer = talk()["messages"][1];
  EXPECT_EQ(answer["content"], std::string(100, 't'));
  EXPECT_EQ(answer["status"], "done");
  EXPECT_GE(answer["reasoning"].get<std::string>().size(), 20u);
  EXPECT_LT(answer["reasoning"].get<std::string>().size(), 100u);
  EXPECT_EQ(answer["usage"]["output_tokens"].get<std::size_t>(), 101 + answer["reasoning"].get<std::string>().size());
  EXPECT_EQ(last_prompt(),
            "[user] Think\n[assistant] <think>" + answer["reasoning"].get<std::string>() + "\n</think>\n\n");
}

TEST_F(AppTest, WhatRunsWhenTheServerStopsIsInterrupted) {
  model_->say(std::string(1000, 'x'));
  model_->engine().step = milliseconds(5);
  ASSERT_EQ(ask("POST", "/app/runs", wish("1", "Go on")).status, 201);
  Reply reply = reply_to("GET", "/app/runs/run-00001/events");
  auto& stream = *std::get<std::unique_ptr<EventStream>>(reply);
  read_stream(stream, "\"text\"");
  app_->stop();
  EXPECT_TRUE(read_stream(stream).contains(R"("status":"interrupted")"));
  start();
  EXPECT_EQ(talk()["messages"][1]["status"], "interrupted");
}

TEST_F(AppTest, AFailureIsTold) {
  model_->engine().fails_with = "the cache is full";
  turn("1", "What?");
  EXPECT_EQ(talk()["messages"][1]["status"], "failed");
  EXPECT_EQ(talk()["messages"][1]["error"]["message"], "the cache is full");
  model_->engine().full = true;
  turn("2", "What?", "answer-1");
  EXPECT_EQ(talk()["messages"][3]["error"]["code"], "queue_full");
}

TEST_F(AppTest, WhatDoesNotFitIsSaidBeforeAnythingIsStored) {
  const std::string long_text(900, 'x');
  turn("1", long_text);
  const Json second = wish("2", long_text, "answer-1");
  const Answer fit = ask("POST", "/app/runs/check", second);
  ASSERT_EQ(fit.status, 200) << fit.text;
  EXPECT_EQ(fit.body["fits"], false);
  EXPECT_EQ(fit.body["leave_out"], 1);
  EXPECT_EQ(fit.body["context_length"], 2000);
  const Answer refused = ask("POST", "/app/runs", second);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.body["error"]["code"], "context_full");
  EXPECT_EQ(refused.body["error"]["fit"], fit.body);
  EXPECT_EQ(talk()["messages"].size(), 2u);
  Json without = second;
  without["leave_out"] = 1;
  EXPECT_EQ(ask("POST", "/app/runs/check", without).body["fits"], true);
  ASSERT_EQ(ask("POST", "/app/runs", without).status, 201);
  events_of("run-00002");
  EXPECT_EQ(last_prompt(), "[user] " + long_text + "\n[assistant] ");
  EXPECT_EQ(talk()["messages"].size(), 4u);
}

TEST_F(AppTest, OptionsComeFromSettingsConversationAndRun) {
  ASSERT_EQ(ask("PATCH", "/app/settings",
                {{"options", {{"system_prompt", "Be brief."}, {"top_k", 7}, {"temperature", 0.25}}}})
                .status,
            200);
  ASSERT_EQ(ask("POST", "/app/conversations", {{"id", kTalk}, {"options", {{"top_k", 8}, {"seed", 5}}}}).status, 201);
  Json asked = wish("1", "What?");
  asked["options"] = {{"seed", 6}};
  ASSERT_EQ(ask("POST", "/app/runs", asked).status, 201);
  events_of("run-00001");
  const engine::SamplingOptions sampling = model_->engine().runs().back()->sampling;
  EXPECT_EQ(sampling.top_k, 8);
  EXPECT_EQ(sampling.seed, 6u);
  EXPECT_EQ(sampling.temperature, 0.25f);
  EXPECT_EQ(sampling.top_p, 0.95f);
  EXPECT_EQ(last_prompt(), "[system] Be brief.\n[user] What?\n[assistant] ");
  Json elsewhere = wish("2", "What?", "answer-1");
  elsewhere["options"] = {{"model", "other"}};
  EXPECT_EQ(ask("POST", "/app/runs", elsewhere).body["error"]["code"], "model_missing");
}

TEST_F(AppTest, TheModelNamesAConversationAfterItsFirstAnswer) {
  ASSERT_EQ(ask("PATCH", "/app/settings", {{"titles", nullptr}}).body["titles"], true);
  Reply reply = reply_to("GET", "/app/events");
  auto& changes = *std::get<std::unique_ptr<EventStream>>(reply);
  model_->say(" \"Greetings and more.\"\n");
  turn("1", "Say hello");
  const std::string told = read_stream(changes, "\"title_by\":\"model\"");
  EXPECT_TRUE(told.contains(R"("title":"Greetings and more","title_by":"model")")) << told;
  EXPECT_EQ(model_->engine().runs().size(), 2u);
  turn("2", "And again", "answer-1");
  EXPECT_EQ(model_->engine().runs().size(), 3u);
  ASSERT_EQ(ask("PATCH", std::string("/app/conversations/") + kTalk, {{"title", "Mine"}}).status, 200);
  EXPECT_EQ(ask("POST", std::string("/app/conversations/") + kTalk + "/title").status, 202);
  while (model_->engine().running() > 0) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(talk()["conversation"]["title"], "Mine");
}

TEST_F(AppTest, ChangesAreToldFromAnyPosition) {
  Reply reply = reply_to("GET", "/app/events");
  auto& changes = *std::get<std::unique_ptr<EventStream>>(reply);
  ASSERT_EQ(ask("POST", "/app/conversations", {{"id", kTalk}, {"title", "One"}}).status, 201);
  const std::string first = read_stream(changes, "\n\n");
  EXPECT_TRUE(first.starts_with("event: conversation\n")) << first;
  const std::string position = first.substr(first.rfind("id: ") + 4, first.size() - first.rfind("id: ") - 6);
  ASSERT_EQ(ask("PATCH", std::string("/app/conversations/") + kTalk, {{"pinned", true}}).status, 200);
  ASSERT_EQ(ask("DELETE", std::string("/app/conversations/") + kTalk).status, 200);
  const auto after = [&](const std::string& from) {
    Reply other = reply_to("GET", "/app/events?from=" + from);
    return std::get<std::unique_ptr<EventStream>>(other)->read().text;
  };
  const std::string rest = after(position);
  EXPECT_TRUE(rest.contains(R"("pinned":true)")) << rest;
  EXPECT_TRUE(rest.contains(R"({"type":"gone","id":"conversation-a"})")) << rest;
  EXPECT_FALSE(rest.contains("reset"));
  EXPECT_TRUE(after("another-3").starts_with("event: reset\n"));
  app_->stop();
  EXPECT_TRUE(changes.read().done);
}

TEST_F(AppTest, ATemporaryConversationIsInNoListUntilItIsKept) {
  Json asked = wish("1", "Secret apple");
  asked["conversation"]["temporary"] = true;
  ASSERT_EQ(ask("POST", "/app/runs", asked).status, 201);
  events_of("run-00001");
  EXPECT_EQ(talk()["conversation"]["temporary"], true);
  EXPECT_EQ(ask("GET", "/app/conversations").body["conversations"].size(), 0u);
  EXPECT_EQ(ask("GET", "/app/search?q=apple").body["hits"].size(), 0u);
  EXPECT_EQ(ask("POST", "/app/runs", asked).status, 200);
  const Answer kept = ask("PATCH", std::string("/app/conversations/") + kTalk, {{"temporary", false}});
  ASSERT_EQ(kept.status, 200) << kept.text;
  EXPECT_EQ(kept.body["temporary"], false);
  EXPECT_EQ(ask("GET", "/app/conversations").body["conversations"].size(), 1u);
  EXPECT_EQ(ask("GET", "/app/search?q=apple").body["hits"].size(), 1u);
  EXPECT_EQ(talk()["messages"].size(), 2u);
  EXPECT_EQ(ask("POST", "/app/conversations", {{"id", kTalk}, {"title", "Mine"}, {"temporary", true}}).status, 409);
  EXPECT_EQ(talk()["conversation"]["temporary"], false);
}

TEST_F(AppTest, WhatIsComputedOfATemporaryConversationStaysInMemoryAndServesItAlone) {
  Json asked = wish("1", "Secret apple");
  asked["conversation"]["temporary"] = true;
  ASSERT_EQ(ask("POST", "/app/runs", asked).status, 201);
  events_of("run-00001");
  const auto secret = model_->engine().runs().back();
  EXPECT_TRUE(engine::stays_in_memory(secret->owner));
  EXPECT_TRUE(secret->owner.ends_with(kTalk));
  Json other = wish("2", "Plain pear");
  other["conversation"]["id"] = "conversation-b";
  ASSERT_EQ(ask("POST", "/app/runs", other).status, 201);
  events_of("run-00002");
  EXPECT_EQ(model_->engine().runs().back()->owner, "");
}

TEST_F(AppTest, WhatIsUsedStandsInTheLedgerAndInTheAnswersNumbers) {
  model_->say("yes");
  turn("1", "What?");
  const Json usage = talk()["messages"][1]["usage"];
  const double cost = (2.0 * (usage["prompt_tokens"].get<int>() - usage["cached_tokens"].get<int>()) +
                       8.0 * usage["output_tokens"].get<int>()) /
                      1e6;
  EXPECT_NEAR(usage["cost"].get<double>(), cost, 1e-9);
  const Answer days = ask("GET", "/app/usage?from=2020-01-01&to=2999-12-31");
  ASSERT_EQ(days.body["days"].size(), 1u) << days.text;
  EXPECT_EQ(days.body["currency"], "USD");
  const Json& day = days.body["days"][0];
  EXPECT_EQ(day["model"], "fake");
  EXPECT_EQ(day["key"], "page");
  EXPECT_EQ(day["runs"], 1);
  EXPECT_EQ(day["prompt_tokens"], usage["prompt_tokens"]);
  EXPECT_EQ(day["output_tokens"], usage["output_tokens"]);
  EXPECT_NEAR(day["cost"].get<double>(), cost, 1e-9);
  EXPECT_EQ(ask("GET", "/app/usage?from=2020-01-01&to=2020-01-02").body["days"].size(), 0u);
  for (const char* wrong :
       {"", "from=2020-01-01", "from=2020-01-01&to=2020-13-01", "from=2020-02-30&to=2020-03-01", "from=x&to=y"})
    EXPECT_EQ(ask("GET", std::string("/app/usage?") + wrong).status, 400) << wrong;
}

TEST_F(AppTest, KeysAreMadeLimitedAndRevoked) {
  EXPECT_EQ(ask("GET", "/app/session").body["features"]["keys"], true);
  const Answer made =
      ask("POST", "/app/keys", {{"name", "note book/한"}, {"limits", {{"requests_per_minute", 5}, {"budget", 1.25}}}});
  ASSERT_EQ(made.status, 201) << made.text;
  const auto secret = made.body["secret"].get<std::string>();
  EXPECT_TRUE(secret.starts_with("sk-fathom-"));
  EXPECT_EQ(made.body["key"]["limits"]["budget"], 1.25);
  EXPECT_EQ(made.body["key"]["scope"], "api");
  EXPECT_TRUE(metering_->asks_for_key());
  const Answer list = ask("GET", "/app/keys");
  ASSERT_EQ(list.body["keys"].size(), 1u);
  EXPECT_FALSE(list.text.contains(secret));
  EXPECT_EQ(ask("POST", "/app/keys", {{"name", "note book/한"}}).body["error"]["code"], "name_taken");
  EXPECT_EQ(ask("POST", "/app/keys", {{"name", "x"}, {"scope", "root"}}).status, 400);
  EXPECT_EQ(ask("POST", "/app/keys", {{"name", "x"}, {"limits", {{"budget", -1}}}}).body["error"]["param"],
            "limits.budget");
  const std::string path = "/app/keys/note%20book%2F%ED%95%9C";
  EXPECT_EQ(ask("PATCH", path, {{"limits", {{"concurrent", 2}}}}).body["limits"]["concurrent"], 2);
  EXPECT_EQ(ask("GET", "/app/keys").body["keys"][0]["limits"]["requests_per_minute"], 0);
  EXPECT_NE(ask("DELETE", path).body["revoked_at"], nullptr);
  EXPECT_EQ(ask("DELETE", path).status, 404);
  EXPECT_FALSE(metering_->asks_for_key());
}

TEST_F(AppTest, ConversationsAreChangedDeletedAndRestored) {
  turn("1", "What?");
  const std::string path = std::string("/app/conversations/") + kTalk;
  const Answer whole = ask("GET", path);
  std::string etag;
  for (const Header& header : whole.headers)
    if (header.name == "ETag") etag = header.value;
  EXPECT_EQ(ask("GET", path, nullptr, {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(ask("PATCH", path, {{"title", "New"}, {"options", {{"top_k", 3}}}}).body["options"]["top_k"], 3);
  EXPECT_EQ(ask("GET", path, nullptr, {{"If-None-Match", etag}}).status, 200);
  EXPECT_EQ(ask("PATCH", path, {{"colour", "red"}}).status, 400);
  EXPECT_EQ(ask("PATCH", path, {{"title", ""}}).status, 400);
  EXPECT_EQ(ask("PATCH", path, {{"options", {{"top_p", 2}}}}).body["error"]["param"], "options.top_p");
  const Answer written =
      ask("POST", path + "/messages",
          {{"id", "message-1"}, {"parent_id", "question-1"}, {"role", "assistant"}, {"content", "Mine"}});
  EXPECT_EQ(written.status, 201) << written.text;
  EXPECT_EQ(written.body["by_person"], true);
  EXPECT_EQ(talk()["conversation"]["leaf_id"], "message-1");
  EXPECT_EQ(
      ask("PUT", "/app/drafts/conversation-a", {{"text", "Hm"}, {"file_ids", Json::array()}, {"updated_at", 5}}).status,
      200);
  EXPECT_EQ(talk()["draft"]["text"], "Hm");
  EXPECT_EQ(ask("GET", "/app/drafts/new").body["text"], "");
  EXPECT_EQ(ask("DELETE", path).body["ids"][0], kTalk);
  EXPECT_EQ(ask("GET", path).status, 404);
  EXPECT_EQ(ask("GET", "/app/conversations?deleted=true").body["conversations"].size(), 1u);
  EXPECT_EQ(ask("POST", path + "/restore").status, 200);
  EXPECT_EQ(ask("DELETE", "/app/conversations").body["ids"].size(), 1u);
  EXPECT_EQ(ask("DELETE", path + "?purge=true").body["purge_at"], nullptr);
  EXPECT_EQ(ask("POST", path + "/restore").status, 404);
}

TEST_F(AppTest, ExportsHoldWhatIsShownOrAll) {
  model_->say("<think>hm</think>so");
  turn("1", "What?");
  turn("2", "What else?", nullptr);
  const std::string path = std::string("/app/conversations/") + kTalk + "/export?format=";
  const Answer markdown = ask("GET", path + "markdown");
  EXPECT_TRUE(markdown.text.contains("## User\n\nWhat else?\n\n## fake\n\n> hm\n\nso\n")) << markdown.text;
  EXPECT_FALSE(markdown.text.contains("What?\n\n## fake"));
  EXPECT_EQ(ask("GET", path + "json").body["conversations"][0]["messages"].size(), 4u);
  EXPECT_EQ(ask("GET", path + "pdf").status, 400);
  Reply reply = reply_to("GET", "/app/export?format=json");
  auto& all = *std::get<std::unique_ptr<EventStream>>(reply);
  EXPECT_EQ(all.content_type(), "application/json");
  EXPECT_EQ(all.headers().at(0).name, "Content-Disposition");
  std::string text;
  for (bool done = false; !done;) {
    const auto part = all.read();
    text += part.text;
    done = part.done;
  }
  const Json whole = Json::parse(text);
  EXPECT_EQ(whole["format"], "fathom");
  EXPECT_EQ(whole["conversations"].size(), 1u);
}

TEST_F(AppTest, SettingsPresetsModelsAndTheSession) {
  EXPECT_EQ(ask("GET", "/app/settings").body["theme"], "auto");
  EXPECT_EQ(ask("PATCH", "/app/settings", {{"theme", "dark"}}).body["theme"], "dark");
  EXPECT_EQ(ask("PATCH", "/app/settings", {{"theme", "pink"}}).status, 400);
  EXPECT_EQ(ask("PATCH", "/app/settings", {{"theme", nullptr}}).body["theme"], "auto");
  EXPECT_EQ(ask("PUT", "/app/presets/preset-1", {{"name", "Cool"}, {"options", {{"temperature", 0.1}}}}).status, 200);
  EXPECT_EQ(ask("PUT", "/app/presets/preset-1", {{"name", "Cool"}}).status, 400);
  EXPECT_EQ(ask("GET", "/app/presets").body["presets"][0]["name"], "Cool");
  EXPECT_EQ(ask("DELETE", "/app/presets/preset-1").status, 204);
  EXPECT_EQ(ask("GET", "/app/models").body["models"][0]["id"], "fake");
  EXPECT_GT(ask("GET", "/app/models").body["machine"]["memory_bytes"], 0);
  const Json session = ask("GET", "/app/session").body;
  EXPECT_EQ(session["version"], "9.9");
  EXPECT_EQ(session["person"], nullptr);
  EXPECT_EQ(session["features"]["people"], false);
  EXPECT_EQ(session["settings"]["send_with"], "enter");
}

TEST_F(AppTest, WhatIsNotAsTheContractSaysIsRefusedByName) {
  Json asked = wish("1", "What?");
  asked["tools"] = Json::array();
  EXPECT_EQ(ask("POST", "/app/runs", asked).body["error"]["param"], "tools");
  asked = wish("1", "What?");
  asked["id"] = "short";
  EXPECT_EQ(ask("POST", "/app/runs", asked).body["error"]["param"], "id");
  asked = wish("1", "What?");
  asked.erase("message");
  EXPECT_EQ(ask("POST", "/app/runs", asked).status, 400);
  asked = wish("1", "What?", "question-none");
  EXPECT_EQ(ask("POST", "/app/runs", asked).status, 404);
  EXPECT_EQ(ask("GET", "/app/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/app/conversations/short").status, 404);
  EXPECT_EQ(ask("PUT", "/app/session").status, 405);
  EXPECT_EQ(ask("GET", "/app/conversations?limit=500").status, 400);
  EXPECT_EQ(ask("GET", "/app/conversations?after=x").status, 400);
  EXPECT_EQ(ask("GET", "/app/search").status, 400);
  EXPECT_TRUE(ask("GET", "/app/conversations").body["conversations"].empty());
}

}  // namespace
}  // namespace fathom::server::app
