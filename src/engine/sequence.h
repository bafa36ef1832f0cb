// One run on its way through the engine: its tokens, how many of them are in the cache, and its pages.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/draft_model.h"
#include "engine/engine.h"
#include "engine/page_key.h"
#include "engine/reusable_prefix.h"
#include "engine/sampler.h"
#include "engine/speculation.h"

namespace fathom::engine {

// Whose turn it is: one for each owner that has runs.
struct Owner {
  std::string name;
  int runs = 0;  // waiting and running
  int running = 0;
  std::uint64_t turn = 0;  // when its prompts were last read
};

struct Sequence {
  using Clock = std::chrono::steady_clock;

  RunId id = 0;
  Run run;
  TokenSink sink;
  std::vector<tokens::TokenId> ids;  // prompt, then answer
  std::int64_t computed = 0;         // ids whose cache rows are written
  std::int64_t limit = 0;            // ids it may have at most

  std::vector<std::byte*> pages;
  std::vector<std::uint8_t> expanded;  // by page: the form its rows are computed in
  std::size_t full_pages = 0;          // leading pages that are filled and known by their keys
  PageKey key;                         // of the last of them
  Owner* owner = nullptr;
  std::vector<PrefixPage> prefix;       // what it begins with, from the time of its first turn on
  bool planned = false, begun = false;  // that is known; it is there
  bool set_aside = false;               // it was running before, and begins again with the forms it had
  std::uint64_t step = 0;               // the last step that considered its prompt

  Drafts drafts;
  DraftModel::Memory draft_memory;
  std::optional<Sampler> sampler;
  RunStatistics statistics;
  Clock::time_point submitted, admitted, first_token, last_token;
  bool cancelled = false, finished = false;

  std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t prompt_size() const { return static_cast<std::int64_t>(run.prompt.size()); }
  bool decoding() const { return computed + 1 == size() && computed >= prompt_size(); }
};

}  // namespace fathom::engine
