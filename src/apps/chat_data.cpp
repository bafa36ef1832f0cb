#include "apps/chat_data.h"

#include <filesystem>
#include <fstream>

#include "files/places.h"

namespace fathom::apps {

namespace {

constexpr const char* kAddress = "/address";

std::string address_in(const std::string& folder) {
  std::ifstream file(folder + kAddress);
  std::string url;
  std::getline(file, url);
  return url.size() < 300 && url.starts_with("http") ? " at " + url : "";
}

}  // namespace

base::Result<ChatData> ChatData::open(std::string folder) {
  if (folder.empty()) {
    const auto places = files::Places::from_environment();
    if (!places) return std::unexpected(places.error());
    folder = places->data + "/chat";
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail("{}: cannot be made: {}", folder, error.message());
  // What people write is for their own eyes.
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  auto lock = files::FolderLock::try_lock(folder);
  if (!lock) return std::unexpected(lock.error());
  if (!*lock) {
    return base::fail(
        "another fathom serves the conversations in {}{}: open that, stop it first, or choose another folder with "
        "--chat-data (--no-chat: none)",
        folder, address_in(folder));
  }
  std::filesystem::remove(folder + kAddress, error);
  auto store = chat::Store::open(database_in(folder));
  if (!store) return std::unexpected(store.error());
  return ChatData(folder, std::move(**lock), std::shared_ptr(std::move(*store)));
}

void ChatData::write_address(const std::string& url) const {
  std::ofstream(folder_ + kAddress) << url << "\n";
}

}  // namespace fathom::apps
