#include "apps/running_server.h"

#include <openssl/rand.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <thread>

#include "files/new_file.h"
#include "files/places.h"

namespace fathom::apps {

using base::fail;
using base::Result;
using files::Json;

namespace {

constexpr const char* kRecord = "/server.json";
constexpr std::size_t kMostBytes = std::size_t{4} << 20;  // of a reply
// Whoever looks for a server holds the lock for a moment.
constexpr int kTries = 5;
constexpr std::chrono::milliseconds kBetween{40};

Result<std::string> record_folder() {
  const auto places = files::Places::from_environment();
  if (!places) return std::unexpected(places.error());
  return places->data + "/server";
}

std::string new_secret() {
  std::array<unsigned char, 24> bytes{};
  FATHOM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string secret = "local-";
  for (const unsigned char byte : bytes) secret += fmt::format("{:02x}", byte);
  return secret;
}

}  // namespace

std::string refusal_text(const files::HttpResponse& response) {
  const Json body = Json::parse(response.refusal, nullptr, false);
  if (body.is_object() && body.contains("error")) {
    const Json& error = body["error"];
    if (error.is_string()) return error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string())
      return error["message"].get<std::string>();
  }
  return fmt::format("the server answers {}", response.status);
}

std::string text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  return object.is_object() && found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

ServerRecord::ServerRecord(std::string folder, files::FolderLock lock)
    : folder_(std::move(folder)), lock_(std::move(lock)), secret_(new_secret()) {}

Result<std::optional<ServerRecord>> ServerRecord::take() {
  auto folder = record_folder();
  if (!folder) return std::unexpected(folder.error());
  std::error_code error;
  std::filesystem::create_directories(*folder, error);
  if (error) return fail("{}: cannot be made: {}", *folder, error.message());
  std::filesystem::permissions(*folder, std::filesystem::perms::owner_all, error);
  for (int i = 0; i < kTries; ++i) {
    auto lock = files::FolderLock::try_lock(*folder);
    if (!lock) return std::unexpected(lock.error());
    if (*lock) return ServerRecord(*folder, std::move(**lock));
    std::this_thread::sleep_for(kBetween);
  }
  return std::nullopt;
}

ServerRecord::~ServerRecord() {
  if (!lock_ || folder_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove(folder_ + kRecord, ignored);
}

Result<void> ServerRecord::write(const std::string& url) const {
  auto file = files::NewFile::create(folder_ + kRecord);
  if (!file) return std::unexpected(file.error());
  const Json record = {{"url", url}, {"secret", secret_}};
  if (auto written = file->write(record.dump() + "\n"); !written) return written;
  return file->commit();
}

std::optional<RunningServer> RunningServer::find() {
  const auto folder = record_folder();
  std::error_code error;
  if (!folder || !std::filesystem::exists(*folder + kRecord, error)) return std::nullopt;
  const auto lock = files::FolderLock::try_lock(*folder);
  if (!lock || *lock) return std::nullopt;  // what stands there is of a server that is gone
  const auto record = files::read_json(*folder + kRecord);
  if (!record || !record->is_object()) return std::nullopt;
  RunningServer server;
  server.url_ = text_at(*record, "url");
  server.secret_ = text_at(*record, "secret");
  if (!server.url_.starts_with("http")) return std::nullopt;
  return server;
}

Result<Json> RunningServer::ask(const std::string& path, std::string body) const {
  const auto document = files::http_get_text(
      {.url = url_ + path, .bearer = secret_, .post = std::move(body), .to_this_machine = true}, kMostBytes);
  if (!document) return fail("the server at {} does not answer: {}", url_, document.error().message);
  if (document->head.status != 200) return fail("{}", refusal_text(document->head));
  return files::parse_json(document->text, url_ + path);
}

Result<Json> RunningServer::get(const std::string& path) const {
  return ask(path, "");
}

Result<Json> RunningServer::post(const std::string& path, const Json& body) const {
  return ask(path, body.dump());
}

}  // namespace fathom::apps
