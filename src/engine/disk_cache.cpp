#include "engine/disk_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace fathom::engine {

using base::fail;
using base::Result;
namespace fs = std::filesystem;

namespace {

// The ending says the version of the format: what other versions wrote is removed.
constexpr std::string_view kEnding = ".page1", kUnfinished = ".unfinished";
// How long after a failed write (a full disk, say) nothing is tried.
constexpr std::chrono::seconds kPause(10);
// An unfinished file this old is not being written any more.
constexpr std::chrono::minutes kAbandoned(10);

// A descriptor that closes itself.
class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  File(const File&) = delete;
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_;
};

// The key and the mark of a page's file name: 32 hexadecimal digits, "a" or "p".
std::optional<std::pair<PageKey, bool>> parse_name(std::string_view name) {
  if (name.size() != 33 + kEnding.size() || !name.ends_with(kEnding)) return std::nullopt;
  const auto number = [](std::string_view digits, std::uint64_t& out) {
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), out, 16);
    return error == std::errc{} && end == digits.end();
  };
  PageKey key;
  if (!number(name.substr(0, 16), key.high) || !number(name.substr(16, 16), key.low)) return std::nullopt;
  if (name[32] != 'a' && name[32] != 'p') return std::nullopt;
  return std::pair(key, name[32] == 'a');
}

}  // namespace

Result<std::shared_ptr<DiskCache>> DiskCache::open(const std::string& folder, std::uint64_t most_bytes) {
  std::shared_ptr<DiskCache> cache(new DiskCache((fs::path(folder) / "pages").string(), most_bytes));
  if (auto ok = cache->take_stock(); !ok) return std::unexpected(ok.error());
  cache->writer_ = std::jthread([self = cache.get()](std::stop_token stop) { self->write_offers(stop); });
  return cache;
}

DiskCache::~DiskCache() {
  writer_.request_stop();
  if (writer_.joinable()) writer_.join();
}

std::string DiskCache::path(const PageKey& key, bool answer) const {
  return fmt::format("{}/{:016x}{:016x}{}{}", folder_, key.high, key.low, answer ? 'a' : 'p', kEnding);
}

Result<void> DiskCache::take_stock() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail("{}: the folder for the cache cannot be made: {}", folder_, error.message());
  chmod(folder_.c_str(), 0700);  // what people asked is in there
  if (access(folder_.c_str(), R_OK | W_OK | X_OK) != 0)
    return fail("{}: the folder for the cache cannot be written to: {}", folder_, std::strerror(errno));
  struct Found {
    Entry entry;
    fs::file_time_type used;
  };
  std::vector<Found> found;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;  // another process may have removed it
    if (at->symlink_status(ignored).type() != fs::file_type::regular) continue;
    const std::string name = at->path().filename().string();
    const auto used = at->last_write_time(ignored);
    const auto key = parse_name(name);
    if (key) {
      found.push_back({{key->first, key->second, at->file_size(ignored)}, used});
      if (ignored) found.pop_back();
    } else if (!name.ends_with(kUnfinished) || used + kAbandoned < fs::file_time_type::clock::now()) {
      fs::remove(at->path(), ignored);
    }
  }
  if (error) return fail("{}: the cache's folder cannot be read: {}", folder_, error.message());
  std::ranges::sort(found, {}, &Found::used);
  const std::scoped_lock lock(mutex_);
  for (const Found& f : found) enter(f.entry);
  return {};
}

// Enters a page as the latest one; what has become too much is removed.
void DiskCache::enter(const Entry& entry) {
  if (const auto known = by_key_.find(entry.key); known != by_key_.end()) {
    if (known->second->answer != entry.answer) ::unlink(path(entry.key, known->second->answer).c_str());
    bytes_ -= known->second->bytes;
    entries_.erase(known->second);
    by_key_.erase(known);
  }
  bytes_ += entry.bytes;
  by_key_[entry.key] = entries_.insert(entries_.end(), entry);
  while (bytes_ > most_bytes_) forget(entries_.begin());
}

void DiskCache::forget(Entries::iterator entry) {
  ::unlink(path(entry->key, entry->answer).c_str());
  bytes_ -= entry->bytes;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

std::optional<bool> DiskCache::find(const PageKey& key) const {
  const std::scoped_lock lock(mutex_);
  const auto at = by_key_.find(key);
  return at == by_key_.end() ? std::nullopt : std::optional(at->second->answer);
}

void DiskCache::touch(const PageKey& key) {
  const std::scoped_lock lock(mutex_);
  if (const auto at = by_key_.find(key); at != by_key_.end()) entries_.splice(entries_.end(), entries_, at->second);
}

bool DiskCache::read(const PageIdentity& expected, std::span<std::byte> page) {
  const std::string name = path(expected.key, expected.answer);
  const File file(name, O_RDONLY);
  const bool gone = !file && errno == ENOENT;
  const bool good = file && read_page_file(file.get(), expected, page);
  if (good) futimens(file.get(), nullptr);  // it was used now; where that cannot be noted, it leaves earlier
  const std::scoped_lock lock(mutex_);
  const auto at = by_key_.find(expected.key);
  if (good) {
    ++counts_.read;
    if (at != by_key_.end()) entries_.splice(entries_.end(), entries_, at->second);
  } else if ((file || gone) && at != by_key_.end()) {  // else it may be read another time
    counts_.damaged += gone ? 0 : 1;
    forget(at->second);
  }
  return good;
}

void DiskCache::prepare(std::size_t page_bytes, std::size_t page_tokens) {
  const std::scoped_lock lock(mutex_);
  for (std::size_t i = offer_count_; i < kMostOffers; ++i) {  // the others are the writer's
    Offer& offer = offers_[(first_offer_ + i) % kMostOffers];
    offer.page.reserve(page_bytes);
    offer.tokens.reserve(page_tokens);
  }
}

bool DiskCache::offer(const PageIdentity& identity, std::span<const std::byte> page) {
  const std::scoped_lock lock(mutex_);
  if (std::chrono::steady_clock::now() < retry_) return true;
  if (page_file_bytes(identity, page.size()) > most_bytes_) return true;
  if (offer_count_ == kMostOffers) return false;
  Offer& offer = offers_[(first_offer_ + offer_count_) % kMostOffers];
  offer.tokens.assign(identity.tokens.begin(), identity.tokens.end());
  offer.page.assign(page.begin(), page.end());
  offer.identity = identity;
  offer.identity.tokens = offer.tokens;
  ++offer_count_;
  changed_.notify_one();
  return true;
}

void DiskCache::write_offers(std::stop_token stop) {
  for (std::unique_lock lock(mutex_);;) {
    changed_.wait(lock, stop, [this] { return offer_count_ > 0; });
    if (offer_count_ == 0) return;
    const Offer& offer = offers_[first_offer_];
    lock.unlock();
    const auto written = write(offer);
    lock.lock();
    if (written) {
      ++counts_.written;
      enter({offer.identity.key, offer.identity.answer, page_file_bytes(offer.identity, offer.page.size())});
    } else {
      ++counts_.failed_writes;
      retry_ = std::chrono::steady_clock::now() + kPause;
    }
    first_offer_ = (first_offer_ + 1) % kMostOffers;
    --offer_count_;
  }
}

// Under another name until it is whole.
Result<void> DiskCache::write(const Offer& offer) {
  const std::string name = path(offer.identity.key, offer.identity.answer);
  const std::string unfinished = fmt::format("{}.{}{}", name, getpid(), kUnfinished);
  Result<void> written;
  if (const File file(unfinished, O_WRONLY | O_CREAT | O_TRUNC); file) {
    written = write_page_file(file.get(), offer.identity, offer.page);
  } else {
    written = fail("{}: {}", unfinished, std::strerror(errno));
  }
  if (written && rename(unfinished.c_str(), name.c_str()) != 0) written = fail("{}: {}", name, std::strerror(errno));
  if (!written) ::unlink(unfinished.c_str());
  return written;
}

DiskCache::Status DiskCache::status() const {
  const std::scoped_lock lock(mutex_);
  Status now = counts_;
  now.pages = static_cast<std::int64_t>(entries_.size());
  now.bytes = bytes_;
  return now;
}

}  // namespace fathom::engine
