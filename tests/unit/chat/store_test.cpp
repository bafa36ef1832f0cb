#include "chat/store.h"

#include <gtest/gtest.h>

#include <thread>

#include "../files/temporary_folder.h"
#include "chat/schema.h"

namespace fathom::chat {
namespace {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { open(); }

  void open() {
    store_.reset();
    auto opened = Store::open(path(), [this] { return now_; });
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  std::string path() const { return folder_ / "chat.db"; }

  static NewRun ask(const std::string& id, const std::string& conversation, const std::string& question,
                    std::optional<std::string> parent = std::nullopt) {
    return {.id = "run-" + id,
            .conversation = {.id = conversation},
            .question = NewMessage{.id = "question-" + id, .content = question},
            .parent_id = std::move(parent),
            .answer_id = "answer-" + id,
            .model = "fake",
            .made_of = "digest-" + id};
  }
  // A whole turn: the question, and an answer that is done.
  void turn(const std::string& id, const std::string& conversation, const std::string& question,
            const std::string& answer, std::optional<std::string> parent = std::nullopt) {
    const auto started = store_->start(ask(id, conversation, question, std::move(parent)));
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_TRUE(store_->end({.id = "run-" + id, .status = "done", .content = answer}));
  }
  std::vector<std::string> listed(bool deleted = false) {
    std::vector<std::string> ids;
    const auto page = store_->conversations(200, "", deleted);
    EXPECT_TRUE(page);
    for (const Conversation& c : page->conversations) ids.push_back(c.id);
    return ids;
  }

  files::TemporaryFolder folder_;
  std::int64_t now_ = 1'700'000'000'000;
  std::unique_ptr<Store> store_;
};

using Ids = std::vector<std::string>;

TEST_F(StoreTest, ARunMakesItsConversationQuestionAndAnswerAtOnce) {
  const auto started = store_->start(ask("1", "conversation-a", "What is\n  the capital of France?"));
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_TRUE(started->is_new);
  const auto thread = store_->thread("conversation-a");
  ASSERT_TRUE(thread);
  EXPECT_EQ(thread->conversation.title, "What is the capital of France?");
  EXPECT_EQ(thread->conversation.title_by, "question");
  EXPECT_EQ(thread->conversation.leaf_id, "answer-1");
  EXPECT_EQ(thread->conversation.run_id, "run-1");
  ASSERT_EQ(thread->messages.size(), 2u);
  EXPECT_EQ(thread->messages[0].content, "What is\n  the capital of France?");
  EXPECT_TRUE(thread->messages[0].by_person);
  EXPECT_EQ(thread->messages[1].parent_id, "question-1");
  EXPECT_EQ(thread->messages[1].status, "running");
  EXPECT_EQ(thread->messages[1].run_id, "run-1");

  const auto again = store_->start(ask("1", "conversation-a", "What is\n  the capital of France?"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_new);
  NewRun other = ask("1", "conversation-a", "Another");
  other.made_of = "another digest";
  EXPECT_EQ(store_->start(other).error().problem, Problem::kIdTaken);
  const auto second = store_->start(ask("2", "conversation-a", "More", "answer-1"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().problem, Problem::kRunInProgress);
  EXPECT_EQ(second.error().run_id, "run-1");

  ASSERT_TRUE(store_->end({.id = "run-1",
                           .status = "done",
                           .content = "Paris.",
                           .reasoning = "Hm.",
                           .reasoning_seconds = 1.5,
                           .thought = true,
                           .reasoning_tokens = 2,
                           .tokens = 4,
                           .usage = R"({"output_tokens":4})"}));
  const auto after = store_->thread("conversation-a");
  EXPECT_EQ(after->messages[1].content, "Paris.");
  EXPECT_EQ(after->messages[1].reasoning, "Hm.");
  EXPECT_EQ(after->messages[1].status, "done");
  EXPECT_EQ(after->messages[1].usage, R"({"output_tokens":4})");
  EXPECT_FALSE(after->messages[1].run_id);
  EXPECT_FALSE(after->conversation.run_id);
  EXPECT_GT(after->conversation.revision, thread->conversation.revision);
  EXPECT_EQ(store_->run("run-1")->content.to, 6);
  EXPECT_EQ(store_->run("run-1")->reasoning.to, 3);
  EXPECT_EQ(store_->run("none").error().problem, Problem::kNotFound);
}

TEST_F(StoreTest, EditingAndRegeneratingMakeSiblings) {
  turn("1", "conversation-a", "One?", "1");
  turn("2", "conversation-a", "Two?", "2", "answer-1");
  turn("3", "conversation-a", "Two, please?", "II", "answer-1");
  NewRun regenerate{.id = "run-4",
                    .conversation = {.id = "conversation-a"},
                    .parent_id = "question-3",
                    .answer_id = "answer-4",
                    .model = "fake",
                    .made_of = "4"};
  ASSERT_TRUE(store_->start(regenerate));
  ASSERT_TRUE(store_->end({.id = "run-4", .status = "stopped", .content = "I"}));
  const auto thread = store_->thread("conversation-a");
  Ids order;
  for (const Message& m : thread->messages) order.push_back(m.id + " of " + m.parent_id.value_or("none"));
  EXPECT_EQ(order,
            (Ids{"question-1 of none", "answer-1 of question-1", "question-2 of answer-1", "answer-2 of question-2",
                 "question-3 of answer-1", "answer-3 of question-3", "answer-4 of question-3"}));
  EXPECT_EQ(thread->conversation.leaf_id, "answer-4");
  ASSERT_TRUE(store_->change("conversation-a", {.leaf_id = "answer-2"}));
  EXPECT_EQ(store_->conversation("conversation-a")->leaf_id, "answer-2");
  turn("5", "conversation-b", "Other", "x");
  EXPECT_EQ(store_->change("conversation-a", {.leaf_id = "answer-5"}).error().problem, Problem::kNotFound);
  EXPECT_EQ(store_->start(ask("6", "conversation-a", "No", "answer-5")).error().problem, Problem::kNotFound);
  EXPECT_EQ(store_->start(ask("7", "conversation-a", "No", "question-1")).error().problem, Problem::kBadRequest);
  regenerate.id = "run-8", regenerate.made_of = "8", regenerate.answer_id = "answer-8",
  regenerate.parent_id = "answer-1";
  EXPECT_EQ(store_->start(regenerate).error().problem, Problem::kBadRequest);
  regenerate.answer_id = "answer-1", regenerate.parent_id = "question-1";
  EXPECT_EQ(store_->start(regenerate).error().problem, Problem::kIdTaken);
}

TEST_F(StoreTest, AnAnswerThatWasCutOffGoesOn) {
  turn("1", "conversation-a", "One?", "1");
  NewRun on{.id = "run-2",
            .conversation = {.id = "conversation-a"},
            .continues = true,
            .answer_id = "answer-1",
            .model = "fake",
            .made_of = "2"};
  EXPECT_EQ(store_->start(on).error().problem, Problem::kNotContinuable);
  ASSERT_TRUE(store_->start(ask("3", "conversation-a", "Count", "answer-1")));
  ASSERT_TRUE(store_->end({.id = "run-3", .status = "stopped", .content = "one, two", .reasoning = "Ok."}));
  on.answer_id = "answer-3";
  const auto run = store_->start(on);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->value.content.from, 8);
  EXPECT_EQ(run->value.reasoning.from, 3);
  EXPECT_EQ(store_->message("answer-3")->status, "running");
  EXPECT_EQ(store_->message("answer-3")->content, "one, two");
  ASSERT_TRUE(store_->end({.id = "run-2", .status = "done", .content = "one, two, three", .reasoning = "Ok."}));
  EXPECT_EQ(store_->run("run-2")->content.to, 15);
  EXPECT_EQ(store_->run("run-3")->content.to, 8);
}

TEST_F(StoreTest, WhatRanWhenTheProgramDiedIsInterruptedWithItsText) {
  ASSERT_TRUE(store_->start(ask("1", "conversation-a", "Count")));
  store_->append("run-1", "Let me", "", 2);
  store_->append("run-1", " see.", "one", 5);
  store_->append("run-1", "", ", two", 7);
  store_.reset();  // what was handed over is written; nobody said how the run ended
  open();
  const auto message = store_->message("answer-1");
  ASSERT_TRUE(message);
  EXPECT_EQ(message->status, "interrupted");
  EXPECT_EQ(message->reasoning, "Let me see.");
  EXPECT_EQ(message->content, "one, two");
  EXPECT_FALSE(store_->conversation("conversation-a")->run_id);
  EXPECT_EQ(store_->run("run-1")->status, "interrupted");
  EXPECT_EQ(store_->run("run-1")->content.to, 8);
  EXPECT_EQ(store_->run("run-1")->tokens, 7);
  EXPECT_EQ(store_->search("two", 10)->size(), 1u);
}

TEST_F(StoreTest, AppendedTextIsOnDiskAfterATenthOfASecond) {
  ASSERT_TRUE(store_->start(ask("1", "conversation-a", "Count")));
  store_->append("run-1", "", "one", 1);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  auto other = files::Database::open(path(), files::Database::Mode::kRead);
  ASSERT_TRUE(other);
  int pieces = 0;
  while (pieces == 0 && std::chrono::steady_clock::now() < limit) {
    files::Rows row = other->query("SELECT count(*) FROM run_piece");
    if (row.next()) pieces = static_cast<int>(row.integer(0));
  }
  EXPECT_EQ(pieces, 1);
}

TEST_F(StoreTest, TheListHasPinnedOnesFirstThenTheNewestAndComesInPages) {
  for (const char* id : {"1", "2", "3", "4", "5"}) {
    ++now_;
    turn(id, std::string("conversation-") + id, "Hello", "Hi");
  }
  ASSERT_TRUE(store_->change("conversation-2", {.pinned = true}));
  const Ids all{"conversation-2", "conversation-5", "conversation-4", "conversation-3", "conversation-1"};
  EXPECT_EQ(listed(), all);
  Ids paged;
  std::string after;
  for (int pages = 0; pages < 10; ++pages) {
    const auto page = store_->conversations(2, after, false);
    ASSERT_TRUE(page);
    for (const Conversation& c : page->conversations) paged.push_back(c.id);
    if (!page->next) break;
    after = *page->next;
  }
  EXPECT_EQ(paged, all);
  EXPECT_EQ(store_->conversations(2, "nonsense", false).error().problem, Problem::kBadRequest);
}

TEST_F(StoreTest, DeletingCanBeUndoneForADay) {
  turn("1", "conversation-a", "apple", "pear");
  turn("2", "conversation-b", "apple", "pear");
  const auto deleted = store_->remove("conversation-a", false);
  ASSERT_TRUE(deleted);
  EXPECT_EQ(deleted->ids, Ids{"conversation-a"});
  EXPECT_EQ(deleted->purge_at, now_ + kUndoMilliseconds);
  EXPECT_EQ(listed(), Ids{"conversation-b"});
  EXPECT_EQ(listed(true), Ids{"conversation-a"});
  EXPECT_EQ(store_->thread("conversation-a").error().problem, Problem::kNotFound);
  EXPECT_EQ(store_->search("apple", 10)->size(), 1u);
  ASSERT_TRUE(store_->restore("conversation-a"));
  EXPECT_EQ(listed().size(), 2u);
  EXPECT_EQ(store_->search("apple", 10)->size(), 2u);

  EXPECT_EQ(store_->remove_all()->ids.size(), 2u);
  EXPECT_TRUE(listed().empty());
  ASSERT_TRUE(store_->restore("conversation-b"));
  now_ += kUndoMilliseconds + 1;
  EXPECT_EQ(*store_->purge_deleted(now_ - kUndoMilliseconds), Ids{"conversation-a"});
  EXPECT_EQ(store_->restore("conversation-a").error().problem, Problem::kNotFound);
  EXPECT_EQ(store_->message("answer-1").error().problem, Problem::kNotFound);
  EXPECT_FALSE(store_->remove("conversation-b", true)->purge_at);
  EXPECT_TRUE(store_->search("pear", 10)->empty());
}

TEST_F(StoreTest, TitlesOfAPersonAreNotReplaced) {
  turn("1", "conversation-a", "One?", "1");
  EXPECT_EQ(store_->name("conversation-a", "Counting")->title, "Counting");
  EXPECT_EQ(store_->conversation("conversation-a")->title_by, "model");
  EXPECT_EQ(store_->change("conversation-a", {.title = "Mine"})->title_by, "person");
  EXPECT_EQ(store_->name("conversation-a", "Counting")->title, "Mine");
  EXPECT_EQ(store_->search("Mine", 10)->size(), 1u);
  EXPECT_TRUE(store_->search("Counting", 10)->empty());
}

TEST_F(StoreTest, OptionsAndSettingsAreMergedByField) {
  const auto made = store_->create({.id = "conversation-a", .title = "T", .options = R"({"seed":1})", .made_of = "m"});
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->is_new);
  EXPECT_FALSE(store_->create({.id = "conversation-a", .title = "T", .made_of = "m"})->is_new);
  EXPECT_EQ(store_->create({.id = "conversation-a", .title = "U", .made_of = "n"}).error().problem, Problem::kIdTaken);
  EXPECT_EQ(store_->change("conversation-a", {.options = R"({"top_k":5})"})->options, R"({"seed":1,"top_k":5})");
  EXPECT_EQ(store_->change("conversation-a", {.options = R"({"seed":null})"})->options, R"({"top_k":5})");
  EXPECT_EQ(*store_->settings(), "{}");
  EXPECT_EQ(*store_->change_settings(R"({"theme":"dark","options":{"seed":2}})"),
            R"({"theme":"dark","options":{"seed":2}})");
  EXPECT_EQ(*store_->change_settings(R"({"theme":null,"options":{"top_k":1}})"), R"({"options":{"seed":2,"top_k":1}})");
}

TEST_F(StoreTest, AnOlderDraftChangesNothing) {
  EXPECT_EQ(store_->draft("new")->text, "");
  EXPECT_EQ(store_->keep_draft("new", {.text = "Hel", .updated_at = 10})->text, "Hel");
  EXPECT_EQ(store_->keep_draft("new", {.text = "He", .updated_at = 9})->text, "Hel");
  turn("1", "conversation-a", "One?", "1");
  const auto before = store_->conversation("conversation-a")->revision;
  ASSERT_TRUE(store_->keep_draft("conversation-a", {.text = "More", .updated_at = 5}));
  EXPECT_EQ(store_->thread("conversation-a")->draft->text, "More");
  EXPECT_EQ(store_->conversation("conversation-a")->revision, before + 1);
  ASSERT_TRUE(store_->keep_draft("conversation-a", {.text = "", .updated_at = 6}));
  EXPECT_FALSE(store_->thread("conversation-a")->draft);
  EXPECT_EQ(store_->keep_draft("conversation-a", {.text = "Mo", .updated_at = 5})->text, "");
}

TEST_F(StoreTest, PresetsAreKeptByName) {
  ASSERT_TRUE(store_->keep_preset({"preset-b", "Zeta", "{}"}));
  ASSERT_TRUE(store_->keep_preset({"preset-a", "alpha", R"({"top_k":1})"}));
  ASSERT_TRUE(store_->keep_preset({"preset-b", "Beta", "{}"}));
  const auto presets = store_->presets();
  ASSERT_EQ(presets->size(), 2u);
  EXPECT_EQ((*presets)[0].name, "alpha");
  EXPECT_EQ((*presets)[1].name, "Beta");
  EXPECT_TRUE(*store_->remove_preset("preset-a"));
  EXPECT_FALSE(*store_->remove_preset("preset-a"));
}

TEST_F(StoreTest, ATemporaryConversationCanBeKeptAfterAll) {
  auto memory = Store::open("", [this] { return now_; });
  ASSERT_TRUE(memory) << memory.error().message;
  std::swap(store_, *memory);
  turn("1", "conversation-a", "One?", "1");
  std::swap(store_, *memory);
  EXPECT_TRUE(listed().empty());
  const auto kept = store_->adopt(**memory, "conversation-a");
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(listed(), Ids{"conversation-a"});
  EXPECT_EQ(store_->thread("conversation-a")->messages.size(), 2u);
  EXPECT_EQ(store_->run("run-1")->status, "done");
  EXPECT_EQ(store_->adopt(**memory, "conversation-a").error().problem, Problem::kIdTaken);
  EXPECT_EQ(*(*memory)->purge_unused(now_ + 1), Ids{"conversation-a"});
}

TEST_F(StoreTest, ReadersAndTheWriterWorkAtOnce) {
  turn("1", "conversation-a", "One?", "1");
  for (const bool in_memory : {false, true}) {
    std::unique_ptr<Store> memory;
    Store* store = store_.get();
    if (in_memory) {
      memory = std::move(*Store::open(""));
      store = memory.get();
      ASSERT_TRUE(store->create({.id = "conversation-a", .made_of = "m"}));
    }
    std::atomic<int> failed{0};
    {
      std::vector<std::jthread> threads;
      for (int reader = 0; reader < 4; ++reader) {
        threads.emplace_back([&] {
          for (int i = 0; i < 100; ++i) failed += store->thread("conversation-a").has_value() ? 0 : 1;
        });
      }
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i)
          failed += store->keep_draft("conversation-a", {.text = "x", .updated_at = i + 1}).has_value() ? 0 : 1;
      });
    }
    EXPECT_EQ(failed, 0) << in_memory;
  }
}

TEST(SchemaTest, ADatabaseOfEveryEarlierSchemaIsBroughtUpToDate) {
  const auto schema = [](files::Database& database) {
    std::vector<std::string> lines;
    for (files::Rows row = database.query("SELECT type, name, sql FROM sqlite_schema ORDER BY name"); row.next();)
      lines.push_back(row.text(0) + " " + row.text(1) + " " + row.text(2));
    return lines;
  };
  const auto steps = schema_steps();
  std::vector<std::string> newest;
  for (std::size_t have = 0; have <= steps.size(); ++have) {
    const files::TemporaryFolder folder;
    const std::string path = folder / "chat.db";
    {
      auto old = open_connection(path, files::Database::Mode::kWrite);
      ASSERT_TRUE(old);
      ASSERT_TRUE(files::migrate(*old, steps.first(have)));
      if (have > 0) {
        old->run_all(
            "INSERT INTO conversation(id, title, title_by, options, created_at, updated_at, made_of) VALUES "
            "('conversation-a', 'Fruit', 'person', '{}', 1, 2, 'm');"
            "INSERT INTO message(id, conversation_id, role, content, status, by_person, created_at) VALUES "
            "('message-a', 'conversation-a', 'user', 'an apple', 'done', 1, 2)");
        ASSERT_TRUE(old->take_failure());
      }
    }
    auto store = Store::open(path);
    ASSERT_TRUE(store) << store.error().message;
    if (have > 0) {
      EXPECT_EQ((*store)->thread("conversation-a")->messages.at(0).content, "an apple");
      EXPECT_EQ((*store)->search("apple", 10)->size(), 1u) << "from schema " << have;
      EXPECT_EQ((*store)->search("fruit", 10)->size(), 1u) << "from schema " << have;
      ASSERT_TRUE((*store)->remove("conversation-a", true));
    }
    auto database = open_connection(path, files::Database::Mode::kRead);
    const auto now = schema(*database);
    if (have == 0) newest = now;
    EXPECT_EQ(now, newest) << "from schema " << have;
  }
}

TEST(SchemaTest, ANewerDatabaseIsRefusedAndNotTouched) {
  const files::TemporaryFolder folder;
  const std::string path = folder / "chat.db";
  {
    auto newer = files::Database::open(path, files::Database::Mode::kWrite);
    newer->run_all("CREATE TABLE later(x); PRAGMA user_version = 1000");
    ASSERT_TRUE(newer->take_failure());
  }
  const std::string before = folder.read("chat.db");
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_TRUE(store.error().message.contains("newer version")) << store.error().message;
  EXPECT_EQ(folder.read("chat.db"), before);
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(SchemaTest, WhatIsNoDatabaseIsSaidByName) {
  const files::TemporaryFolder folder;
  const std::string path = folder.write("chat.db", std::string(5000, 'x'));
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_TRUE(store.error().message.contains("chat.db")) << store.error().message;
}

}  // namespace
}  // namespace fathom::chat
