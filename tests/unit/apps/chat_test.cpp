// The data of a chat: settings by name, and conversations as they are asked, cut, saved and loaded.
#include <gtest/gtest.h>

#include "apps/chat_conversation.h"
#include "apps/chat_settings.h"

namespace fathom::apps {
namespace {

ChatSettings settings() {
  return ChatSettings({.temperature = 0.6f, .top_p = 0.95f});
}

std::vector<std::string> contents(const std::vector<tokens::Message>& messages) {
  std::vector<std::string> all;
  for (const auto& m : messages) all.push_back(m.content);
  return all;
}

using Texts = std::vector<std::string>;

TEST(ChatSettings, SetsByName) {
  ChatSettings s = settings();
  ASSERT_TRUE(s.set("temperature", "0.25"));
  ASSERT_TRUE(s.set("top_k", "40"));
  ASSERT_TRUE(s.set("thinking", "false"));
  EXPECT_EQ(s.sampling(0).temperature, 0.25f);
  EXPECT_EQ(s.sampling(0).top_k, 40);
  EXPECT_EQ(s.thinking, false);
  EXPECT_EQ(*s.value("temp"), "0.25");
  ASSERT_TRUE(s.set("temperature", "default"));
  EXPECT_EQ(*s.value("temperature"), "0.6");
}

TEST(ChatSettings, RefusesWhatIsOutOfRange) {
  ChatSettings s = settings();
  for (const auto& [name, value] : {std::pair{"top_p", "1.5"},
                                    {"top_p", "x"},
                                    {"top_p", "0.5x"},
                                    {"top_p", "nan"},
                                    {"top_k", "1.5"},
                                    {"max_tokens", "0"},
                                    {"nothing", "1"},
                                    {"thinking", "1"},
                                    {"seed", "-1"}})
    EXPECT_FALSE(s.set(name, value)) << name << " " << value;
  EXPECT_EQ(*s.value("top_p"), "0.95");
}

TEST(ChatSettings, ASeedGivesTheSameAnswersAndOthersOnRetry) {
  ChatSettings s = settings();
  ASSERT_TRUE(s.set("seed", "7"));
  EXPECT_EQ(s.sampling(0).seed, s.sampling(0).seed);
  EXPECT_NE(s.sampling(0).seed, s.sampling(1).seed);
}

TEST(ChatSettings, RoundTripThroughJson) {
  ChatSettings s = settings();
  for (const auto& [name, value] :
       {std::pair{"temperature", "0.3"}, {"seed", "99"}, {"max_tokens", "12"}, {"thinking", "true"}})
    ASSERT_TRUE(s.set(name, value));
  EXPECT_EQ(s.to_json()["temperature"].dump(), "0.3");
  ChatSettings read = settings();
  ASSERT_TRUE(read.from_json(s.to_json()));
  EXPECT_EQ(read.to_json(), s.to_json());
  EXPECT_FALSE(read.from_json({{"temperature", 0.9}, {"top_p", "much"}}));
  EXPECT_EQ(*read.value("temperature"), "0.3");  // nothing of a broken object is taken
}

Conversation three_turns() {
  Conversation c(settings());
  c.set_system("S");
  for (const char* n : {"1", "2", "3"}) {
    c.ask(std::string("q") + n);
    c.answer(std::string("r") + n, std::string("a") + n);
  }
  return c;
}

TEST(Conversation, LeavesOutTheOldestTurnsAndKeepsThem) {
  Conversation c = three_turns();
  EXPECT_EQ(c.seen_turns(), 3);
  EXPECT_EQ(contents(c.seen_without(1)), (Texts{"S", "q2", "a2", "q3", "a3"}));
  c.leave_out(2);
  EXPECT_EQ(contents(c.seen()), (Texts{"S", "q3", "a3"}));
  EXPECT_EQ(c.seen_turns(), 1);
  EXPECT_EQ(c.to_json()["messages"].size(), 7u);
  c.clear();
  EXPECT_EQ(contents(c.seen()), (Texts{"S"}));
}

TEST(Conversation, RetriesAndTakesBack) {
  Conversation c = three_turns();
  EXPECT_EQ(c.attempts(), 1);
  c.take_back_answer();
  EXPECT_FALSE(c.answered());
  EXPECT_EQ(c.attempts(), 1);
  EXPECT_EQ(c.take_back_question(), "q3");
  EXPECT_TRUE(c.answered());
}

TEST(Conversation, RoundTripThroughJson) {
  const Conversation c = three_turns();
  Conversation read(settings());
  ASSERT_TRUE(read.from_json(c.to_json()));
  EXPECT_EQ(read.system(), "S");
  EXPECT_EQ(read.to_json(), c.to_json());
  EXPECT_EQ(read.seen()[2].reasoning, "r1");
  // A bare array, as an API's client has it.
  ASSERT_TRUE(read.from_json(files::Json::array({{{"role", "user"}, {"content", "hello"}}})));
  EXPECT_EQ(contents(read.seen()), (Texts{"hello"}));
  EXPECT_FALSE(read.answered());
}

TEST(Conversation, RefusesWhatIsNoConversation) {
  Conversation c = three_turns();
  const auto before = c.to_json();
  for (const char* text :
       {"{}", "[1]", "{\"messages\": 3}", "[{\"role\": \"tool\", \"content\": \"x\", \"tool_call_id\": \"1\"}]",
        "{\"messages\": [], \"settings\": {\"top_p\": 7}}"}) {
    EXPECT_FALSE(c.from_json(files::Json::parse(text))) << text;
    EXPECT_EQ(c.to_json(), before);
  }
}

}  // namespace
}  // namespace fathom::apps
