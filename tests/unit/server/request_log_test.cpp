#include "server/request_log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "../files/temporary_folder.h"
#include "server/request_record.h"

namespace fathom::server {
namespace {

using files::Json;

class RequestLogTest : public testing::Test {
 protected:
  // What the log holds after a warning and a request.
  std::string logged(LogOptions options) {
    options.file = folder_ / "log";
    const auto log = RequestLog::open(options);
    EXPECT_TRUE(log) << log.error().message;
    spdlog::warn("a \"quoted\" word\nand a line");
    (*log)->write(request_);
    return folder_.read("log");
  }
  void SetUp() override {
    RequestRecord& record = *request_.record;
    record.id = "req_1";
    record.route = "/v1/models/*";
    record.dialect = "openai";
    record.key = "ada's \"laptop\"";
    record.status = 200;
    record.complete = true;
    record.used = {.cache_hit_tokens = 3, .cache_miss_tokens = 4, .output_tokens = 5};
    record.body = "a secret";
  }

  files::TemporaryFolder folder_;
  Request request_{.method = "GET",
                   .target = "/v1/models/a b\n?q=private",
                   .headers = {{"Authorization", "Bearer sk-private"}},
                   .record = std::make_shared<RequestRecord>()};
};

TEST_F(RequestLogTest, JsonIsAnObjectALine) {
  const std::string text = logged({.json = true});
  const auto end = text.find('\n');
  const Json warning = Json::parse(text.substr(0, end)), line = Json::parse(text.substr(end + 1));
  EXPECT_EQ(warning["level"], "warning");
  EXPECT_EQ(warning["message"], "a \"quoted\" word\nand a line");
  EXPECT_EQ(line["id"], "req_1");
  EXPECT_EQ(line["path"], "/v1/models/a b\n");
  EXPECT_EQ(line["key"], "ada's \"laptop\"");
  EXPECT_EQ(line["model"], nullptr);
  EXPECT_EQ(line["prompt_tokens"], 7);
  EXPECT_EQ(line["cached_tokens"], 3);
  EXPECT_EQ(line["complete"], true);
  EXPECT_FALSE(line.contains("body"));
  EXPECT_FALSE(text.contains("private"));
}

TEST_F(RequestLogTest, TextIsWordsWithoutWhatIsNotThere) {
  const std::string text = logged({});
  const std::string line = text.substr(text.rfind(" info "));
  EXPECT_TRUE(line.starts_with(" info request id=req_1 method=GET path=\"/v1/models/a b\\n\" route=/v1/models/* "));
  EXPECT_TRUE(line.contains(" key=\"ada's \\\"laptop\\\"\" status=200 complete=true prompt_tokens=7 ")) << line;
  EXPECT_TRUE(line.ends_with("\n"));
  EXPECT_FALSE(text.contains("private") || text.contains("secret"));
}

TEST_F(RequestLogTest, PromptsAreThereWhereTheyAreAskedFor) {
  EXPECT_TRUE(logged({.prompts = true}).contains(" body=\"a secret\""));
}

TEST(RequestLog, SaysWhichFileCannotBeOpened) {
  const auto log = RequestLog::open({.file = "/dev/null/log"});  // below what is no folder, which even root cannot make
  ASSERT_FALSE(log);
  EXPECT_TRUE(log.error().message.starts_with("--log-file /dev/null/log: ")) << log.error().message;
}

}  // namespace
}  // namespace fathom::server
