// Pages of cache in a folder, by their keys, so that conversations go on where they were after a restart. Written by a
// thread of its own, bounded in size, least recently used out. Any number of models may share one; another process may
// use the same folder: a file that it removed is a miss. Sequences are not known here.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "engine/page_file.h"

namespace fathom::engine {

class DiskCache {
 public:
  // Keeps its files in a folder of its own below `folder`, made where it is not there, and takes stock of it: what
  // there is not a page of this version is removed. Errors: the folder cannot be made, read or written to.
  static base::Result<std::shared_ptr<DiskCache>> open(const std::string& folder, std::uint64_t most_bytes);
  ~DiskCache();  // what was offered is written first

  // Whether the page is there, and then whether it holds tokens of an answer.
  std::optional<bool> find(const PageKey& key) const;
  // The page was used elsewhere: it is not to leave soon.
  void touch(const PageKey& key);
  // Reads a page that find() showed. False where that cannot be done; a file that is not what it should be is removed.
  bool read(const PageIdentity& expected, std::span<std::byte> page);
  // Pages of this size will be offered: makes room for their copies now, so that offer() allocates nothing.
  void prepare(std::size_t page_bytes, std::size_t page_tokens);
  // Gives a copy of a page to the writer. False: it has enough to do, offer the page again later.
  bool offer(const PageIdentity& identity, std::span<const std::byte> page);

  struct Status {
    std::int64_t pages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t read = 0, written = 0, damaged = 0, failed_writes = 0;  // pages, since the start
  };
  Status status() const;

 private:
  struct Entry {
    PageKey key;
    bool answer = false;
    std::uint64_t bytes = 0;
  };
  using Entries = std::list<Entry>;  // least recently used first

  struct Offer {
    PageIdentity identity;  // its tokens are those below
    std::vector<tokens::TokenId> tokens;
    std::vector<std::byte> page;
  };
  static constexpr std::size_t kMostOffers = 8;

  DiskCache(std::string folder, std::uint64_t most_bytes) : folder_(std::move(folder)), most_bytes_(most_bytes) {}
  base::Result<void> take_stock();
  std::string path(const PageKey& key, bool answer) const;
  void enter(const Entry& entry);        // under mutex_
  void forget(Entries::iterator entry);  // under mutex_; removes the file
  void write_offers(std::stop_token stop);
  base::Result<void> write(const Offer& offer);

  const std::string folder_;
  const std::uint64_t most_bytes_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Entries entries_;  // under mutex_, as all that follows
  std::unordered_map<PageKey, Entries::iterator, PageKeyHash> by_key_;
  std::uint64_t bytes_ = 0;
  Status counts_;
  Offer offers_[kMostOffers];  // a ring; the first of them is the writer's until it is done
  std::size_t first_offer_ = 0, offer_count_ = 0;
  std::chrono::steady_clock::time_point retry_{};  // after a failed write nothing is tried before

  std::jthread writer_;  // last: it uses everything above
};

}  // namespace fathom::engine
