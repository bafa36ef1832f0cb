// Exports of other chat apps: what is made of them, and what is refused.
#include <gtest/gtest.h>

#include "../files/temporary_folder.h"
#include "chat/import_formats.h"
#include "chat/store.h"

namespace fathom::chat {
namespace {

using files::Json;

struct Read {
  std::vector<ImportedConversation> conversations;
  std::vector<std::string> skipped;
  std::string error;
};

// In pieces of so many bytes.
Read read(const std::string& text, std::size_t piece = 7, const std::string& whose = "") {
  Read result;
  std::size_t at = 0;
  const auto whole = read_import({.more =
                                      [&] {
                                        const std::string next = text.substr(std::min(at, text.size()), piece);
                                        at += next.size();
                                        return next;
                                      },
                                  .take =
                                      [&](ImportedConversation one) {
                                        result.conversations.push_back(std::move(one));
                                        return true;
                                      },
                                  .skipped = [&](std::string line) { result.skipped.push_back(std::move(line)); }},
                                 whose);
  if (!whole) result.error = whole.error().message;
  return result;
}

Json node(const std::string& id, const Json& parent, std::vector<std::string> children, Json message) {
  return {{"id", id}, {"parent", parent}, {"children", std::move(children)}, {"message", std::move(message)}};
}

Json said(const std::string& role, const Json& content, double at, const Json& metadata = Json::object(),
          const std::string& to = "all") {
  return {{"author", {{"role", role}}},
          {"create_time", at},
          {"content", content},
          {"metadata", metadata},
          {"recipient", to}};
}

Json words(const std::string& text) {
  return {{"content_type", "text"}, {"parts", {text}}};
}

// A question worded twice; the second one's answer thinks, runs code, and is followed by another question.
Json chatgpt_conversation() {
  return {
      {"title", "Lakes"},
      {"create_time", 1700000000.5},
      {"update_time", 1700000100.0},
      {"conversation_id", "c0ffee00-0000-4000-8000-000000000001"},
      {"current_node", "a4"},
      {"mapping",
       {{"root", node("root", nullptr, {"s"}, nullptr)},
        {"s", node("s", "root", {"q1", "q2"}, said("system", words("hidden"), 1))},
        {"q1", node("q1", "s", {"a1"}, said("user", words("Which lake?"), 1700000001))},
        {"a1", node("a1", "q1", {}, said("assistant", words("Baikal."), 1700000002, {{"model_slug", "gpt-4o"}}))},
        {"q2", node("q2", "s", {"t"}, said("user", words("Which lake is deepest?"), 1700000003))},
        {"t", node("t", "q2", {"c"},
                   said("assistant",
                        {{"content_type", "thoughts"}, {"thoughts", {{{"summary", "Depth"}, {"content", "1642 m"}}}}},
                        1700000004, {{"model_slug", "o3"}}))},
        {"c", node("c", "t", {"o"},
                   said("assistant", {{"content_type", "code"}, {"language", "python"}, {"text", "print(1)"}},
                        1700000005, Json::object(), "python"))},
        {"o", node("o", "c", {"r"}, said("tool", {{"content_type", "execution_output"}, {"text", "1"}}, 1700000006))},
        {"r", node("r", "o", {"a2"},
                   said("assistant", {{"content_type", "reasoning_recap"}, {"content", "Thought for 12 s"}}, 1700000007,
                        {{"finished_duration_sec", 12}}))},
        {"a2", node("a2", "r", {"q3"}, said("assistant", words("Baikal it is."), 1700000008))},
        {"q3", node("q3", "a2", {"a4"},
                    said("user",
                         {{"content_type", "multimodal_text"},
                          {"parts", {{{"content_type", "image_asset_pointer"}}, "And this one?"}}},
                         1700000009))},
        {"a4", node("a4", "q3", {}, said("assistant", words("Tanganyika."), 1700000010))}}}};
}

TEST(ImportTest, ChatGptsTreeBecomesQuestionsAndAnswers) {
  const Read result = read(Json::array({chatgpt_conversation()}).dump());
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.conversations.size(), 1u);
  const ImportedConversation& one = result.conversations[0];
  EXPECT_EQ(one.source, "chatgpt");
  EXPECT_EQ(one.conversation.title, "Lakes");
  EXPECT_EQ(one.conversation.created_at, 1700000000500);
  EXPECT_EQ(one.conversation.updated_at, 1700000100000);
  std::vector<std::string> contents;
  for (const Message& m : one.messages) contents.push_back(m.role + ": " + m.content);
  EXPECT_EQ(contents,
            (std::vector<std::string>{"user: Which lake?", "assistant: Baikal.", "user: Which lake is deepest?",
                                      "assistant: ```python\nprint(1)\n```\n\n```\n1\n```\n\nBaikal it is.",
                                      "user: [image]\n\nAnd this one?", "assistant: Tanganyika."}));
  EXPECT_EQ(one.messages[0].parent_id, std::nullopt);
  EXPECT_EQ(one.messages[2].parent_id, std::nullopt);
  EXPECT_EQ(one.messages[3].parent_id, one.messages[2].id);
  EXPECT_EQ(one.messages[3].reasoning, "**Depth**\n\n1642 m");
  EXPECT_EQ(one.messages[3].reasoning_seconds, 12);
  EXPECT_EQ(one.messages[3].model, "o3");
  EXPECT_EQ(one.messages[3].created_at, 1700000004000);
  EXPECT_EQ(one.conversation.leaf_id, one.messages[5].id);
  EXPECT_EQ(one.conversation.id.size(), 32u);
}

TEST(ImportTest, DeepSeeksFragmentsAndItsOlderFieldsAreRead) {
  const auto message = [](const Json& fragments) {
    return Json{
        {"model", "deepseek-reasoner"}, {"inserted_at", "2025-01-28T10:00:00.250000+08:00"}, {"fragments", fragments}};
  };
  const Json now = {
      {"id", "one"},
      {"title", "T"},
      {"inserted_at", "2025-01-28T10:00:00.000000+08:00"},
      {"updated_at", "2025-01-28T10:05:00.000000+08:00"},
      {"mapping",
       {{"root", node("root", nullptr, {"1"}, nullptr)},
        {"1", node("1", "root", {"2", "3"}, message({{{"type", "REQUEST"}, {"content", "Why?"}}}))},
        {"2", node("2", "1", {}, message({{{"type", "RESPONSE"}, {"content", "No."}}}))},
        {"3", node("3", "1", {},
                   message({{{"type", "THINK"}, {"content", "Hm."}}, {{"type", "RESPONSE"}, {"content", "So."}}}))}}}};
  const auto older = [](const char* content, const Json& reasoning) {
    return Json{{"content", content}, {"reasoning_content", reasoning}, {"inserted_at", "2025-01-28T10:00:00+08:00"}};
  };
  const Json before = {{"id", "two"},
                       {"title", "Old"},
                       {"inserted_at", "2025-01-28T10:00:00+08:00"},
                       {"mapping",
                        {{"root", node("root", nullptr, {"1"}, nullptr)},
                         {"1", node("1", "root", {"2"}, older("Why?", nullptr))},
                         {"2", node("2", "1", {}, older("So.", "Hm."))}}}};
  const Read result = read(Json::array({now, before}).dump());
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.conversations.size(), 2u);
  const auto& messages = result.conversations[0].messages;
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].role, "user");
  EXPECT_EQ(messages[1].content, "No.");
  EXPECT_EQ(messages[2].content, "So.");
  EXPECT_EQ(messages[2].reasoning, "Hm.");
  EXPECT_EQ(messages[2].parent_id, messages[0].id);
  EXPECT_EQ(messages[0].created_at, 1738029600250);
  EXPECT_EQ(result.conversations[0].conversation.leaf_id, messages[2].id);
  EXPECT_EQ(result.conversations[1].messages[0].role, "user");
  EXPECT_EQ(result.conversations[1].messages[1].reasoning, "Hm.");
}

TEST(ImportTest, TheSameFileGivesTheSameIdsToTheSamePersonAlone) {
  const std::string text = Json::array({chatgpt_conversation()}).dump();
  const auto id = [&](const std::string& whose) { return read(text, 1000, whose).conversations[0].messages[3].id; };
  EXPECT_EQ(id("a"), id("a"));
  EXPECT_NE(id("a"), id("b"));
}

TEST(ImportTest, WhatIsNoExportIsSaidInALine) {
  for (const auto& [text, expected] :
       std::initializer_list<std::pair<std::string, std::string>>{{"", "not valid JSON"},
                                                                  {"nonsense", "not valid JSON"},
                                                                  {"{}", "no conversations"},
                                                                  {"[]", "no conversations"},
                                                                  {"[1,2,\"x\"]", "no conversations"},
                                                                  {"{\"conversations\":3}", "no conversations"},
                                                                  {"[{\"mapping\":", "not valid JSON"}}) {
    const Read result = read(text);
    EXPECT_TRUE(result.error.contains(expected)) << text << ": " << result.error;
    EXPECT_FALSE(result.error.contains('\n'));
    EXPECT_TRUE(result.conversations.empty());
  }
  // What came before the break was taken.
  const Read cut = read(Json::array({chatgpt_conversation(), chatgpt_conversation()}).dump().substr(0, 4000));
  EXPECT_EQ(cut.conversations.size(), 1u);
  EXPECT_FALSE(cut.error.empty());
}

TEST(ImportTest, AConversationThatIsNoneIsLeftOutAndTheOthersTaken) {
  Json cycle = {
      {"id", "x"}, {"title", "Round"}, {"mapping", {{"a", node("a", "b", {"b"}, said("user", words("x"), 1))}}}};
  cycle["mapping"]["b"] = node("b", "a", {"a"}, said("user", words("y"), 1));
  Json deep = "x";
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  const Read result = read(
      Json::array({{{"unknown", 1}}, {{"mapping", Json::object()}}, cycle, {{"mapping", deep}}, chatgpt_conversation()})
          .dump());
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.conversations.size(), 1u);
  ASSERT_EQ(result.skipped.size(), 4u);
  EXPECT_TRUE(result.skipped[3].contains("nested deeper")) << result.skipped[3];
}

TEST(ImportTest, AStringWithoutEndIsNotHeld) {
  std::size_t given = 0;
  const auto result = read_import({.more =
                                       [&] {
                                         given += 1 << 20;
                                         return given == 1 << 20 ? "[{\"title\":\"" + std::string(1 << 20, 'x')
                                                                 : std::string(1 << 20, 'x');
                                       },
                                   .take = [](ImportedConversation) { return true; },
                                   .skipped = [](std::string) {}},
                                  "");
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.contains("more than")) << result.error().message;
  EXPECT_LT(given, std::size_t{40} << 20);
}

TEST(ImportTest, DatesOfAllZonesAreRead) {
  EXPECT_EQ(milliseconds_of_date("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(milliseconds_of_date("1970-01-02T00:00:00.5Z"), 86400500);
  EXPECT_EQ(milliseconds_of_date("2025-04-29T11:59:11.635000+08:00"), 1745899151635);
  EXPECT_EQ(milliseconds_of_date("2025-04-28T22:59:11-05:00"), 1745899151000);
  for (const char* bad : {"", "2025", "2025-13-01T00:00:00Z", "2025-02-30T00:00:00Z", "9999999999-01-01T00:00:00Z"})
    EXPECT_EQ(milliseconds_of_date(bad), 0) << bad;
}

TEST(ImportTest, FathomsOwnExportIsHeldAgainstWhatTheStoreExpects) {
  const Json question = {{"id", "question-1"},
                         {"role", "user"},
                         {"content", "What?"},
                         {"status", "running"},
                         {"files", {{{"id", "file-0001"}, {"name", "a.txt"}, {"kind", "text"}, {"text", "words"}}}}};
  const auto with = [&](const Json& answer) {
    return read(Json{{"format", "fathom"},
                     {"version", 1},
                     {"conversations",
                      {{{"conversation", {{"id", "conversation-a"}, {"title", "T"}, {"leaf_id", "answer-01"}}},
                        {"messages", {question, answer}}}}}}
                    .dump());
  };
  const Json source = {
      {"title", "a.txt"}, {"file_id", "file-0001"}, {"unit", "line"}, {"first", 1}, {"last", 1}, {"from", 0},
      {"to", 5}};
  const Json good = {{"id", "answer-01"},   {"parent_id", "question-1"},
                     {"role", "assistant"}, {"content", "So."},
                     {"sources", {source}}, {"usage", {{"seconds", 1.5}, {"cost", nullptr}}}};
  Read result = with(good);
  ASSERT_EQ(result.conversations.size(), 1u) << result.error << (result.skipped.empty() ? "" : result.skipped[0]);
  const auto& one = result.conversations[0];
  EXPECT_EQ(one.conversation.leaf_id, "answer-01");
  EXPECT_EQ(one.messages[0].status, "interrupted");
  EXPECT_EQ(one.messages[0].files.size(), 1u);
  EXPECT_EQ(one.files.at(0).text, "words");
  EXPECT_EQ(Json::parse(*one.messages[1].sources), Json::array({source}));
  EXPECT_TRUE(one.messages[1].usage);
  for (const Json& patch :
       {Json{{"id", "x"}}, Json{{"role", "system"}}, Json{{"parent_id", "nobody-01"}}, Json{{"id", "question-1"}}}) {
    Json bad = good;
    bad.update(patch);
    result = with(bad);
    EXPECT_TRUE(result.conversations.empty()) << patch;
    EXPECT_EQ(result.skipped.size(), 1u) << patch;
  }
  for (const Json& patch :
       {Json{{"sources", {{{"file_id", "file-other"}}}}}, Json{{"sources", 3}}, Json{{"usage", {{"x", "y"}}}}}) {
    Json odd = good;
    odd.update(patch);
    result = with(odd);
    ASSERT_EQ(result.conversations.size(), 1u) << patch;
    EXPECT_FALSE(result.conversations[0].messages[1].sources && result.conversations[0].messages[1].usage) << patch;
  }
}

TEST(ImportTest, ConversationsAreTakenInOnceAndGrow) {
  files::TemporaryFolder folder;
  auto store = Store::open(folder / "chat.db");
  ASSERT_TRUE(store);
  Json conversation = chatgpt_conversation();
  const auto take = [&] {
    auto result = read(Json::array({conversation}).dump(), 1000);
    EXPECT_EQ(result.error, "");
    const auto taken = (*store)->take_in(result.conversations);
    EXPECT_TRUE(taken) << taken.error().message;
    return std::pair(taken->conversations, taken->messages);
  };
  EXPECT_EQ(take(), std::pair(std::int64_t{1}, std::int64_t{6}));
  EXPECT_EQ(take(), std::pair(std::int64_t{0}, std::int64_t{0}));
  const std::string id = (*store)->conversations(10, "", false)->conversations.at(0).id;
  EXPECT_EQ((*store)->search("tanganyika", 5)->size(), 1u);

  conversation["mapping"]["a4"]["children"] = {"q5"};
  conversation["mapping"]["q5"] = node("q5", "a4", {}, said("user", words("More?"), 1700000200));
  conversation["current_node"] = "q5";
  ASSERT_TRUE((*store)->remove(id, false));
  EXPECT_EQ(take(), std::pair(std::int64_t{1}, std::int64_t{1}));
  const auto thread = (*store)->thread(id);
  ASSERT_TRUE(thread) << "a deleted one comes back";
  EXPECT_EQ(thread->messages.back().content, "More?");
  EXPECT_EQ(thread->conversation.leaf_id, thread->messages.back().id);
  EXPECT_EQ(thread->conversation.updated_at, 1700000200000);
}

}  // namespace
}  // namespace fathom::chat
