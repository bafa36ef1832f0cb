// The server that runs on this data folder: it leaves its address there, and a secret by which this person's other
// programs may ask it whatever its keys say.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "files/folder_lock.h"
#include "files/http.h"
#include "files/json.h"

namespace fathom::apps {

// Held by the server. The first one on a folder is the one that others find.
class ServerRecord {
 public:
  // Nothing where another server holds the place already. Errors: no place for data.
  static base::Result<std::optional<ServerRecord>> take();
  ServerRecord(ServerRecord&&) = default;
  ServerRecord& operator=(ServerRecord&&) = delete;
  ~ServerRecord();

  const std::string& secret() const { return secret_; }
  base::Result<void> write(const std::string& url) const;

 private:
  ServerRecord(std::string folder, files::FolderLock lock);
  std::string folder_;
  std::optional<files::FolderLock> lock_;  // none: moved from
  std::string secret_;
};

class RunningServer {
 public:
  // None runs: nothing.
  static std::optional<RunningServer> find();

  const std::string& url() const { return url_; }
  const std::string& secret() const { return secret_; }
  // Errors: it does not answer, or what it says is wrong.
  base::Result<files::Json> get(const std::string& path) const;
  base::Result<files::Json> post(const std::string& path, const files::Json& body) const;

 private:
  base::Result<files::Json> ask(const std::string& path, std::string body) const;
  std::string url_, secret_;
};

// Why a server refused.
std::string refusal_text(const files::HttpResponse& response);
// A field of an object, "" or 0 where it is none of that kind.
std::string text_at(const files::Json& object, const char* name);
std::int64_t number_at(const files::Json& object, const char* name);

}  // namespace fathom::apps
