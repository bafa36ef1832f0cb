#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "../files/temporary_folder.h"
#include "chat/schema.h"
#include "chat/search_words.h"
#include "chat/store.h"

namespace fathom::chat {
namespace {

std::string units(std::string_view text) {
  std::string result;
  for (const SearchUnit& unit : search_units(text))
    result += (result.empty() ? "" : unit.joined ? "+" : " ") + unit.text;
  return result;
}

std::string marked(std::string_view query, std::string_view text, std::size_t most = 1000) {
  std::string result;
  for (const MarkedPiece& piece : SearchQuery(query).mark(text, most))
    result += piece.hit ? "[" + piece.text + "]" : piece.text;
  return result;
}

TEST(SearchWordsTest, WordsAreFoldedAndLettersStandAlone) {
  EXPECT_EQ(units("The Café, no. 12"), "the cafe no 12");
  EXPECT_EQ(units("ＧＰＴ４ ﬁn"), "gpt4 fin");
  EXPECT_EQ(units("한국어 모델"), "한+국+어 모+델");
  EXPECT_EQ(units("GPT모델을"), "gpt 모+델+을");
  EXPECT_EQ(units("中文，文本"), "中+文 文+本");
  EXPECT_EQ(units("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\xe1\x84\x80\xe1\x85\xae\xe1\x86\xa8"), "한+국");  // decomposed
  EXPECT_EQ(units("a\xff"
                  "b"),
            "a b");
  EXPECT_EQ(units(""), "");
}

TEST(SearchWordsTest, QueriesAreQuoted) {
  EXPECT_EQ(SearchQuery("hello wor").expression(), R"("hello" "wor"*)");
  EXPECT_EQ(SearchQuery("hello wo").expression(), R"("hello" "wo")");
  EXPECT_EQ(SearchQuery("한국 \" OR *").expression(), R"("한국" "or")");
  EXPECT_EQ(SearchQuery("NEAR 모델").expression(), R"("near" "모델")");
  EXPECT_TRUE(SearchQuery(" - \"* ").empty());
}

TEST(SearchWordsTest, HitsAreMarked) {
  EXPECT_EQ(marked("cap", "The Capital, a cape, the recap"), "The [Capital], a [cape], the recap");
  EXPECT_EQ(marked("국어", "한국어와 국어"), "한[국어]와 [국어]");
  EXPECT_EQ(marked("中文", "说中文。"), "说[中文]。");
  EXPECT_EQ(marked("é", "E, eh"), "[E], eh");
  const std::string body(400, 'x');
  const std::string long_text = body + " needle " + body;
  const std::string cut = marked("needle", long_text, 160);
  EXPECT_TRUE(cut.starts_with("…")) << cut;
  EXPECT_TRUE(cut.contains("[needle]")) << cut;
  EXPECT_LT(cut.size(), 200u);
}

class SearchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Store::open("");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void add(const std::string& conversation, const std::string& title, const std::vector<std::string>& messages) {
    ASSERT_TRUE(store_->create({.id = conversation, .title = title, .made_of = conversation}));
    std::optional<std::string> parent;
    for (const std::string& text : messages) {
      const std::string id = fmt::format("{}-{}", conversation, text.size());
      ASSERT_TRUE(store_->add({id, conversation, parent, parent ? "assistant" : "user", text}));
      parent = id;
    }
  }
  std::vector<std::string> found(const std::string& query, int limit = 30) {
    std::vector<std::string> ids;
    const auto hits = store_->search(query, limit);
    EXPECT_TRUE(hits) << hits.error().message;
    for (const Hit& hit : *hits) ids.push_back(hit.conversation_id);
    return ids;
  }
  std::unique_ptr<Store> store_;
};

using Ids = std::vector<std::string>;

TEST_F(SearchTest, WordsOfTwoLettersAreFoundInKoreanAndChinese) {
  add("conversation-ko", "언어 모델", {"한국어로 대답하는 모델을 찾고 있어요."});
  add("conversation-zh", "语言", {"请用中文回答这个问题。"});
  add("conversation-en", "Language", {"Please answer in English."});
  EXPECT_EQ(found("국어"), Ids{"conversation-ko"});
  EXPECT_EQ(found("모델을"), Ids{"conversation-ko"});
  EXPECT_EQ(found("中文"), Ids{"conversation-zh"});
  EXPECT_EQ(found("文回"), Ids{"conversation-zh"});
  EXPECT_EQ(found("问"), Ids{"conversation-zh"});
  EXPECT_TRUE(found("文中").empty());
  EXPECT_EQ(found("한국 모델"), Ids{"conversation-ko"});
  EXPECT_EQ(found("ENGL"), Ids{"conversation-en"});
  EXPECT_TRUE(found("engl answer").empty());  // only the last word may go on
}

TEST_F(SearchTest, TitlesComeFirstAndEachConversationOnce) {
  add("conversation-a", "Apples", {"pears", "no apples here, apples there"});
  add("conversation-b", "Fruit", {"one", "an apple, apples"});
  add("conversation-c", "Apples again", {"nothing"});
  const auto hits = store_->search("apples", 30);
  ASSERT_EQ(hits->size(), 3u);
  EXPECT_EQ((*hits)[2].conversation_id, "conversation-b");
  for (const Hit& hit : *hits) {
    EXPECT_EQ(hit.message_id.has_value(), hit.conversation_id != "conversation-c");
    EXPECT_EQ(hit.snippet.empty(), hit.conversation_id == "conversation-c");
    EXPECT_FALSE(hit.title.empty());
  }
  EXPECT_EQ(found("apples", 1).size(), 1u);
  EXPECT_TRUE(found("\"'; DROP").empty());
}

// Also a measurement: what the slowest of these queries took is printed.
TEST(SearchSpeedTest, AHundredThousandMessagesAreSearchedInAMoment) {
  const files::TemporaryFolder folder;
  const std::string path = folder / "chat.db";
  auto store = Store::open(path);
  ASSERT_TRUE(store);
  std::mt19937 random(7);
  const std::vector<std::string> words{"한국어", "모델",  "서버가",  "대답을",  "빠르게", "中文",   "问题",  "回答",
                                       "the",    "model", "answers", "quickly", "kernel", "memory", "token", "cache"};
  {
    auto database = open_connection(path, files::Database::Mode::kWrite);
    files::Transaction transaction(*database);
    for (int c = 0; c < 1000; ++c) {
      const std::string conversation = fmt::format("conversation-{}", c);
      database->run(
          "INSERT INTO conversation(id, title, title_by, options, created_at, updated_at, made_of) VALUES (?, 'talk', "
          "'question', '{}', 1, 2, 'm')",
          conversation);
      for (int m = 0; m < 100; ++m) {
        std::string text;
        for (int w = 0; w < 15; ++w) {
          // Mostly words of their own, as texts have, and a few that stand everywhere.
          if (random() % 3 == 0) {
            text += words[random() % words.size()] + " ";
          } else {
            text += fmt::format("w{} ", random() % 50'000);
          }
        }
        if (c == 500 && m == 50) text += "찾을 바늘";
        database->run(
            "INSERT INTO message(id, conversation_id, role, content, status, by_person, created_at) VALUES (?, ?, "
            "'user', ?, 'done', 1, 3)",
            fmt::format("message-{}-{}", c, m), conversation, text);
      }
    }
    transaction.commit();
    ASSERT_TRUE(database->take_failure());
  }
  double slowest = 0;
  for (const char* query : {"바늘", "한국", "모델", "답", "中文", "model", "w123", "w1", "한국 model", "the"}) {
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const auto hits = (*store)->search(query, 30);
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
      ASSERT_TRUE(hits);
      EXPECT_FALSE(hits->empty()) << query;
      best = std::min(best, took.count());
    }
    fmt::print("  {:<12} {:6.1f} ms\n", query, best);
    slowest = std::max(slowest, best);
  }
  fmt::print("search over 100,000 messages: the slowest query took {:.1f} ms\n", slowest);
  RecordProperty("slowest_milliseconds", static_cast<int>(slowest));
  // Far above what it takes on a machine at rest (under 50), so that it fails only when an index is not used.
  EXPECT_LT(slowest, 1000);
}

}  // namespace
}  // namespace fathom::chat
