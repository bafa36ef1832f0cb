// Attached files through the chat app's routes.
#include "app_fixture.h"

namespace fathom::server::app {
namespace {

using AppFilesTest = AppTest;

TEST_F(AppFilesTest, AFileIsReadKeptAndGoesIntoThePrompt) {
  const Answer sent = send("/app/files/file-0001?name=notes.md", "# Notes\r\nThe key is under the mat.\n");
  ASSERT_EQ(sent.status, 200) << sent.text;
  EXPECT_EQ(sent.body["kind"], "markdown");
  EXPECT_EQ(sent.body["bytes"], 35);
  EXPECT_EQ(sent.body["tokens"], 34);
  EXPECT_EQ(sent.body["indexed"], false);
  EXPECT_EQ(ask("GET", "/app/files/file-0001").body, sent.body);
  EXPECT_EQ(ask("GET", "/app/files/file-0001/text").text, "# Notes\nThe key is under the mat.\n");
  EXPECT_EQ(ask("GET", "/app/files/file-0001/text?from=2&to=7").text, "Notes");

  model_->say("Under the mat [1].");
  Json wish = AppTest::wish("1", "Where is the key?");
  wish["message"]["file_ids"] = {"file-0001"};
  EXPECT_EQ(ask("POST", "/app/runs/check", wish).body["fits"], true);
  ASSERT_EQ(ask("POST", "/app/runs", wish).status, 201);
  events_of("run-00001");
  const std::string prompt = last_prompt();
  EXPECT_TRUE(
      prompt.contains("[file name]: notes.md\n[file content 1 begin] (lines 1-2)\n# Notes\nThe key is under the "
                      "mat.\n[file content 1 end]\n"))
      << prompt;
  EXPECT_TRUE(prompt.contains("\n\nWhere is the key?\n[assistant] ")) << prompt;
  const Json messages = talk()["messages"];
  EXPECT_EQ(messages[0]["content"], "Where is the key?");
  EXPECT_EQ(messages[0]["files"][0]["name"], "notes.md");
  const Json source = {{"title", "notes.md"},
                       {"file_id", "file-0001"},
                       {"unit", "line"},
                       {"first", 1},
                       {"last", 2},
                       {"from", 0},
                       {"to", 34}};
  EXPECT_EQ(messages[1]["sources"], Json::array({source}));

  // The next turn reads the same words before its own.
  turn("2", "And the door?", "answer-1");
  EXPECT_TRUE(last_prompt().starts_with(prompt)) << last_prompt();
  EXPECT_EQ(talk()["messages"][3]["sources"], Json::array());

  EXPECT_EQ(ask("GET", std::string("/app/conversations/") + kTalk + "/export?format=json")
                .body["conversations"][0]["messages"][0]["files"][0]["text"],
            "# Notes\nThe key is under the mat.\n");
  const std::string markdown = ask("GET", std::string("/app/conversations/") + kTalk + "/export?format=markdown").text;
  EXPECT_TRUE(markdown.contains("- notes.md\n\nWhere is the key?")) << markdown;
  EXPECT_TRUE(markdown.contains("## notes.md\n\n```\n# Notes\n")) << markdown;
  EXPECT_EQ(ask("DELETE", "/app/files/file-0001").status, 409);
}

TEST_F(AppFilesTest, OfALargeFileThePassagesThatFitTheQuestionAreGiven) {
  std::string table = "name,place\n";
  for (int i = 0; i < 400; ++i) table += fmt::format("thing {},shelf {}\n", i, i % 9);
  table += "golden needle,haystack\n";
  const Answer sent = send("/app/files/file-0001?name=things.csv", table);
  ASSERT_EQ(sent.status, 200) << sent.text;
  EXPECT_EQ(sent.body["kind"], "csv");
  EXPECT_EQ(sent.body["indexed"], true);
  Json wish = AppTest::wish("1", "Where is the needle?");
  wish["message"]["file_ids"] = {"file-0001"};
  ASSERT_EQ(ask("POST", "/app/runs", wish).status, 201);
  events_of("run-00001");
  const Json sources = talk()["messages"][1]["sources"];
  ASSERT_FALSE(sources.empty());
  EXPECT_LT(sources.size(), 4u);
  EXPECT_EQ(sources.back()["last"], 402);
  const std::string prompt = last_prompt();
  EXPECT_TRUE(prompt.contains("golden needle,haystack")) << prompt;
  EXPECT_TRUE(prompt.contains(fmt::format("[file content {} begin] (lines {}-402)\nname,place\n", sources.size(),
                                          sources.back()["first"].get<int>())))
      << prompt;
  EXPECT_LT(prompt.size(), table.size() / 2);
}

TEST_F(AppFilesTest, PagesOfADocumentAreSourcesOfTheirOwn) {
  ASSERT_EQ(send("/app/files/file-0001?name=paper.pdf&kind=pdf_text", "First page\n\fSecond page\n").body["kind"],
            "pdf");
  Json wish = AppTest::wish("1", "What?");
  wish["message"]["file_ids"] = {"file-0001"};
  ASSERT_EQ(ask("POST", "/app/runs", wish).status, 201);
  events_of("run-00001");
  const Json sources = talk()["messages"][1]["sources"];
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[1]["unit"], "page");
  EXPECT_EQ(sources[1]["first"], 2);
  EXPECT_TRUE(last_prompt().contains("[file content 2 begin] (page 2)\nSecond page\n")) << last_prompt();
}

TEST_F(AppFilesTest, WhatIsNoTextOrNotThereIsRefused) {
  EXPECT_EQ(send("/app/files/file-0001?name=a.png", "\x89PNG....").body["error"]["code"], "unsupported_file");
  EXPECT_EQ(send("/app/files/file-0001?name=a.txt", std::string((10 << 20) + 1, 'x')).body["error"]["code"],
            "too_large");
  EXPECT_EQ(send("/app/files/file-0001?name=", "x").body["error"]["param"], "name");
  EXPECT_EQ(send("/app/files/file-0001?name=a&kind=x", "x").body["error"]["param"], "kind");
  EXPECT_EQ(send("/app/files/file-0001?name=a.txt", "x", "text/plain").status, 400);
  EXPECT_EQ(ask("GET", "/app/files/file-0001").status, 404);
  EXPECT_EQ(ask("GET", "/app/files/file-0001/text").status, 404);
  EXPECT_EQ(ask("DELETE", "/app/files/file-0001").status, 204);
  Json wish = AppTest::wish("1", "What?");
  for (const Json& ids : {Json{"file-0001"}, Json{"x"}, Json{1}, Json(std::vector<std::string>(21, "file-0001"))}) {
    wish["message"]["file_ids"] = ids;
    const Answer refused = ask("POST", "/app/runs", wish);
    EXPECT_TRUE(refused.status == 404 || refused.status == 400) << refused.text;
  }
  EXPECT_EQ(ask("GET", std::string("/app/conversations/") + kTalk).status, 404);
}

TEST_F(AppFilesTest, ATemporaryConversationsFileIsOnNoDisk) {
  ASSERT_EQ(send("/app/files/file-0001?name=a.txt&temporary=true", "secret words").status, 200);
  EXPECT_EQ(store_->file("file-0001").error().problem, chat::Problem::kNotFound);
  Json wish = AppTest::wish("1", "What?");
  wish["conversation"]["temporary"] = true;
  wish["message"]["file_ids"] = {"file-0001"};
  ASSERT_EQ(ask("POST", "/app/runs", wish).status, 201);
  events_of("run-00001");
  EXPECT_TRUE(last_prompt().contains("secret words"));
  EXPECT_EQ(ask("PATCH", std::string("/app/conversations/") + kTalk, {{"temporary", false}}).status, 200);
  EXPECT_EQ(*store_->file_text("file-0001", 0, 100), "secret words");
}

TEST_F(AppFilesTest, ADraftNamesItsFiles) {
  ASSERT_EQ(send("/app/files/file-0001?name=a.txt", "words").status, 200);
  const Json draft = {{"text", "Look"}, {"file_ids", {"file-0001"}}, {"updated_at", 5}};
  EXPECT_EQ(ask("PUT", "/app/drafts/new", draft).body, draft);
  EXPECT_EQ(ask("GET", "/app/drafts/new").body, draft);
}

}  // namespace
}  // namespace fathom::server::app
