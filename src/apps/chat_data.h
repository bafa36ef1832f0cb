// The data folder of the chat: its database, held by one server at a time, which leaves its address there for the next.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "chat/store.h"
#include "files/folder_lock.h"

namespace fathom::apps {

class ChatData {
 public:
  // An empty `folder`: the one within the data folder. Errors: no place for data, another server that has it (with its
  // address), what is wrong with the database.
  static base::Result<ChatData> open(std::string folder);

  static std::string database_in(const std::string& folder) { return folder + "/chat.db"; }

  std::shared_ptr<chat::Store> store() const { return store_; }
  const std::string& folder() const { return folder_; }
  void write_address(const std::string& url) const;

 private:
  ChatData(std::string folder, files::FolderLock lock, std::shared_ptr<chat::Store> store)
      : folder_(std::move(folder)), lock_(std::move(lock)), store_(std::move(store)) {}

  std::string folder_;
  std::optional<files::FolderLock> lock_;
  std::shared_ptr<chat::Store> store_;
};

}  // namespace fathom::apps
