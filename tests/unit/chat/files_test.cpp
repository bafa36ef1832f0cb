// Files that come with questions.
#include <gtest/gtest.h>

#include "../files/temporary_folder.h"
#include "chat/store.h"

namespace fathom::chat {
namespace {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    store_.reset();
    auto opened = Store::open(folder_ / "chat.db", [this] { return now_; });
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  static NewFile file(const std::string& id, const std::string& text, const std::string& kind = "text") {
    return {.id = id,
            .name = id + ".txt",
            .kind = kind,
            .bytes = static_cast<std::int64_t>(text.size()),
            .tokens = static_cast<std::int64_t>(text.size() / 4),
            .text = text,
            .made_of = text};
  }
  static NewRun ask(const std::string& id, std::vector<std::string> files,
                    const std::string& conversation = "conversation-a") {
    return {.id = "run-" + id,
            .conversation = {.id = conversation},
            .question = NewMessage{.id = "question-" + id, .content = "What?", .file_ids = std::move(files)},
            .answer_id = "answer-" + id,
            .model = "fake",
            .sources = R"([{"title":"a"}])",
            .made_of = id};
  }
  static std::string long_text() {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += fmt::format("Line {} says nothing of note to anybody.\n", i);
    return text + "The needle lies under the 노란 바늘꽂이.\n" + text;
  }

  files::TemporaryFolder folder_;
  std::int64_t now_ = 1'700'000'000'000;
  std::unique_ptr<Store> store_;
};

TEST_F(FilesTest, AFileIsKeptOnceAndItsTextGivenByBytes) {
  const std::string text = long_text();
  const auto kept = store_->keep_file(file("file-0001", text));
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_TRUE(kept->is_new);
  EXPECT_EQ(kept->value.excerpt, text.substr(0, 400));
  EXPECT_FALSE(store_->keep_file(file("file-0001", text))->is_new);
  EXPECT_EQ(store_->keep_file(file("file-0001", "other")).error().problem, Problem::kIdTaken);
  EXPECT_EQ(*store_->file_text("file-0001", 0, INT64_MAX), text);
  EXPECT_EQ(*store_->file_text("file-0001", 5000, 9000), text.substr(5000, 4000));
  EXPECT_EQ(*store_->file_text("file-0001", 1 << 30, 1 << 30), "");
  EXPECT_EQ(store_->file_text("file-none", 0, 1).error().problem, Problem::kNotFound);
  ASSERT_TRUE(store_->keep_file(file("file-0002", "한글")));
  EXPECT_EQ(*store_->file_text("file-0002", 1, 5), "");  // no half of a letter
  EXPECT_EQ(*store_->file_text("file-0002", 2, 6), "글");
}

TEST_F(FilesTest, PassagesAreFoundByTheQuestionsWords) {
  ASSERT_TRUE(store_->keep_file(file("file-other", "A needle, a needle, a needle.")));
  ASSERT_TRUE(store_->keep_file(file("file-0001", long_text())));
  for (const char* question : {"Where is the needle?", "바늘은 어디에 있나요?", "노란"}) {
    const auto found = store_->passages("file-0001", question, 5);
    ASSERT_TRUE(found);
    ASSERT_FALSE(found->empty()) << question;
    EXPECT_TRUE(found->front().text.contains("바늘꽂이")) << question << ": " << found->front().text;
    EXPECT_LE(found->front().first, 1001);
    EXPECT_GE(found->front().last, 1001);
  }
  const auto start = store_->passages("file-0001", "xylophone?", 2);
  ASSERT_EQ(start->size(), 2u);
  EXPECT_EQ(start->front().from, 0);
  EXPECT_EQ(store_->passages("file-0001", "", 3)->size(), 3u);
  EXPECT_EQ(store_->passages("file-0001", "\"'; NEAR(", 1)->front().from, 0);
}

TEST_F(FilesTest, AFileBelongsToItsConversationAndGoesWithIt) {
  ASSERT_TRUE(store_->keep_file(file("file-0001", "some text")));
  ASSERT_TRUE(store_->start(ask("1", {"file-0001"})));
  ASSERT_TRUE(store_->end({.id = "run-1", .status = "done", .content = "So."}));
  const auto thread = store_->thread("conversation-a");
  ASSERT_EQ(thread->messages[0].files.size(), 1u);
  EXPECT_EQ(thread->messages[0].files[0].name, "file-0001.txt");
  EXPECT_EQ(thread->messages[1].sources, R"([{"title":"a"}])");
  EXPECT_EQ(store_->message("question-1")->files.size(), 1u);
  EXPECT_EQ(store_->remove_file("file-0001").error().problem, Problem::kInUse);
  // Another conversation may not have it, nor is there one that was never given.
  EXPECT_EQ(store_->start(ask("2", {"file-0001"}, "conversation-b")).error().problem, Problem::kNotFound);
  EXPECT_EQ(store_->start(ask("3", {"file-none"}, "conversation-b")).error().problem, Problem::kNotFound);
  EXPECT_EQ(store_->conversation("conversation-b").error().problem, Problem::kNotFound);
  // The same conversation may, in another wording of the question.
  NewRun again = ask("4", {"file-0001"});
  ASSERT_TRUE(store_->start(again)) << store_->start(again).error().message;
  ASSERT_TRUE(store_->end({.id = "run-4", .status = "done", .content = "So."}));

  ASSERT_TRUE(store_->remove("conversation-a", false));
  EXPECT_EQ(store_->file("file-0001").error().problem, Problem::kNotFound);
  ASSERT_TRUE(store_->restore("conversation-a"));
  EXPECT_EQ(*store_->file_text("file-0001", 0, 100), "some text");
  ASSERT_TRUE(store_->remove("conversation-a", true));
  EXPECT_EQ(store_->file("file-0001").error().problem, Problem::kNotFound);
  EXPECT_TRUE(store_->keep_file(file("file-0001", "new text"))->is_new) << "nothing of it is left";
}

TEST_F(FilesTest, AFileThatWasNeverSentGoesAfterADayUnlessADraftNamesIt) {
  ASSERT_TRUE(store_->keep_file(file("file-0001", "one")));
  ASSERT_TRUE(store_->keep_file(file("file-0002", "two")));
  ASSERT_TRUE(store_->keep_file(file("file-0003", "three")));
  EXPECT_EQ(store_->remove_file("file-0003"), true);
  EXPECT_EQ(store_->remove_file("file-0003"), false);
  ASSERT_TRUE(store_->keep_draft("new", {.text = "x", .file_ids = R"(["file-0002"])", .updated_at = now_}));
  now_ += kUndoMilliseconds + 1;
  ASSERT_TRUE(store_->purge_deleted(now_ - kUndoMilliseconds));
  EXPECT_FALSE(store_->file("file-0001"));
  EXPECT_TRUE(store_->file("file-0002"));
  open();
  EXPECT_TRUE(store_->file("file-0002"));
}

TEST_F(FilesTest, AConversationIsAdoptedWithItsFiles) {
  auto temporary = Store::open("");
  ASSERT_TRUE((*temporary)->keep_file(file("file-0001", long_text(), "pdf")));
  ASSERT_TRUE((*temporary)->start(ask("1", {"file-0001"})));
  ASSERT_TRUE((*temporary)->end({.id = "run-1", .status = "done", .content = "So."}));
  const auto adopted = store_->adopt(**temporary, "conversation-a");
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_EQ(store_->thread("conversation-a")->messages[0].files.at(0).kind, "pdf");
  EXPECT_EQ(*store_->file_text("file-0001", 0, INT64_MAX), long_text());
  EXPECT_TRUE(store_->passages("file-0001", "needle", 1)->front().text.contains("needle"));
}

}  // namespace
}  // namespace fathom::chat
