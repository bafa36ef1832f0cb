// The engine: one thread that owns all mutable state (sequences, cache pages, samplers) and runs steps over a batch of
// sequences at different positions. Others hand it runs through a queue and get tokens through a sink. JSON and HTTP
// are not known here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/constraint.h"
#include "engine/latency.h"
#include "engine/sampling.h"
#include "tokens/tokenizer.h"

namespace fathom::engine {

enum class FinishReason : std::uint8_t {
  kNone,
  kStop,
  kLength,
  kCancelled,
  kExpired,  // its turn did not come within the queue's limit
  kFailed
};

struct TokenLogprob {
  tokens::TokenId token = 0;
  float logprob = 0;
};

// One generated token; the last event of a run carries finish != kNone (and, for a stop token, no text).
struct TokenEvent {
  tokens::TokenId token = -1;  // -1: none (cancelled before a token, or failed)
  float logprob = 0;           // filled when SamplingOptions::top_logprobs >= 0
  std::vector<TokenLogprob> top;
  FinishReason finish = FinishReason::kNone;
  std::string error;  // for kExpired and kFailed
};

struct RunStatistics {
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, taken from the prefix cache
  int generated_tokens = 0;
  int drafted_tokens = 0;   // guessed ahead (speculative decoding)
  int accepted_tokens = 0;  // of those, the ones that were right
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

struct Run {
  std::vector<tokens::TokenId> prompt;
  SamplingOptions sampling;
  int max_tokens = -1;  // -1: until the context is full
  std::vector<tokens::TokenId> stop_tokens;
  bool ignore_stop = false;
  std::string owner;  // the key that asks: turns are fair between owners, a cached prefix serves its own owner alone
  std::unique_ptr<Constraint> constraint;  // none: every token may come
};

using RunId = std::uint64_t;
// Called on the engine's thread, in order; must return at once. Returning false ends the run there, without a further
// event (a stop string was found).
using TokenSink = std::function<bool(const TokenEvent&, const RunStatistics&)>;

// What the engine holds now, and what it has done since it started.
struct EngineStatus {
  std::int64_t waiting = 0, running = 0;                     // runs
  std::int64_t pages = 0, pages_in_use = 0, pages_kept = 0;  // of cache; kept: for runs to come
  std::int64_t page_tokens = 0, page_bytes = 0;
  std::uint64_t prompt_tokens = 0, prompt_tokens_reused = 0;  // reused: found in the prefix cache
  std::uint64_t pages_from_memory = 0, pages_from_disk = 0;   // that prompts began with
  std::uint64_t generated_tokens = 0;
  std::uint64_t drafted_tokens = 0, accepted_tokens = 0;  // as in RunStatistics
  std::uint64_t set_aside = 0;                            // how often a run made room for older ones
  std::uint64_t expired = 0;                              // runs whose turn did not come in time
  LatencyCounts first_token;                              // from submit() on
  LatencyCounts between_tokens;                           // of one run
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Errors, before anything is allocated: an empty prompt, a prompt that does not fit the context (says by how much), a
  // token id outside the vocabulary, a queue that is full.
  virtual base::Result<RunId> submit(Run run, TokenSink sink) = 0;
  // The run ends with kCancelled within one step. Unknown and finished ids are ignored.
  virtual void cancel(RunId id) = 0;
  virtual int context_length() const = 0;
  // As of the last step; for any thread.
  virtual EngineStatus status() const { return {}; }
};

}  // namespace fathom::engine
