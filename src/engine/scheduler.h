// Who computes what in the next step: admission, turns between owners, and the pages that runs grow into. When pages
// run out the youngest run is set aside and resumed later. Logits, sampling and threads are not known here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "engine/disk_pages.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace fathom::engine {

// Sequences of one step: beyond it the logits of a step would outgrow what the step may take of memory.
inline constexpr std::size_t kMostRunning = 64;

class Scheduler {
 public:
  struct Options {
    int cell = 0;                 // positions of a cell of the prefill grid
    bool two_forms = false;       // full cells are computed in a form of their own
    bool share_prefixes = false;  // between owners
    std::shared_ptr<DiskCache> disk;
    PageKey model;  // cache_identity()
  };
  Scheduler(PrefixCache cache, Options options);

  bool idle() const { return waiting_.empty() && running_.empty(); }
  std::size_t waiting() const { return waiting_.size(); }
  std::size_t running() const { return running_.size(); }
  std::size_t decoding() const;
  std::span<const std::unique_ptr<Sequence>> running_list() const { return running_; }
  std::span<const std::unique_ptr<Sequence>> waiting_list() const { return waiting_; }
  // Of all runs so far. Reused tokens are those of prompts that were found in the prefix cache.
  struct Counts {
    std::uint64_t prompt_tokens = 0, reused_tokens = 0, set_aside = 0;
    std::uint64_t pages_from_memory = 0, pages_from_disk = 0;
  };
  const Counts& counts() const { return counts_; }
  const PrefixCache& cache() const { return cache_; }

  void enter(std::unique_ptr<Sequence> sequence);
  void each(base::FunctionRef<void(Sequence&)> visit);

  // Lets waiting runs in while there is room: of the owner with the fewest running ones first, the oldest of each
  // first.
  void admit();

  // Some tokens of a run, those behind its computed ones.
  struct Part {
    Sequence* sequence = nullptr;
    std::int64_t rows = 0;
  };
  // One token of every decoding run with its drafts, and up to `prompt_rows` of those that are being read, owners in
  // turn. Never empty while a run is running. The pages for these rows are there.
  std::span<const Part> next_step(std::int64_t prompt_rows);
  // After a step: `rows` more of a run are in the cache; pages that became full are kept.
  void advance(Sequence& sequence, std::int64_t rows);
  // Hands full pages to the disk cache's writer. Whether any are left.
  bool write_behind() { return disk_.write(cache_); }
  // Forgets runs that are finished; their pages are released.
  void retire();

 private:
  std::int64_t pages_for(std::int64_t tokens) const;
  bool has_room(const Sequence& sequence) const;
  bool grow(Sequence& sequence, std::int64_t tokens);
  std::optional<bool> kept(const PageKey& key, std::span<const tokens::TokenId> tokens) const;
  void plan(Sequence& sequence) const;
  bool begin(Sequence& sequence, bool beside_streams);
  enum class Taken : std::uint8_t { kYes, kGone, kNoPage };
  Taken take_kept(Sequence& sequence, const PrefixPage& wanted);
  void begin_last_page(Sequence& sequence);
  void keep_last_page(Sequence& sequence);
  void set_youngest_aside();
  void add_decoding();
  void add_prompts(std::int64_t rows);
  Sequence* next_reader();
  std::span<const tokens::TokenId> page_of(const Sequence& sequence, std::size_t page) const;

  PrefixCache cache_;
  DiskPages disk_;
  std::int64_t cell_;
  bool two_forms_, share_prefixes_;
  std::map<std::string, Owner, std::less<>> owners_;
  std::vector<std::unique_ptr<Sequence>> waiting_, running_;  // oldest first
  std::vector<Part> parts_;
  std::uint64_t step_ = 0, turn_ = 0;
  Counts counts_;
};

}  // namespace fathom::engine
