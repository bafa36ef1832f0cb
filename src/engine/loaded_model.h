// A model as programs use it: weights, tokenizer, chat template, engine and the settings its files recommend, loaded
// from one path.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "engine/engine.h"
#include "grammar/compiler.h"
#include "tokens/chat_template.h"

namespace fathom::engine {

class DiskCache;
class DraftModel;

enum class Speculate : std::uint8_t { kNever, kWhereItPays, kAlways };  // always: for tests

struct EngineOptions {
  // Keeps what was read and answered on disk too, where there is one (disk_cache.h); models may share it.
  std::shared_ptr<DiskCache> disk;
  // Whether owners share what is kept of their texts; else it serves its owner alone.
  bool share_prefixes = false;
  // Whether several tokens may be guessed and checked in one step; it changes nothing but the time.
  Speculate speculate = Speculate::kWhereItPays;
  std::shared_ptr<DraftModel> draft;  // guesses instead of the model's own layer; of one engine alone
  // A run that has waited so long for its first turn is ended.
  std::chrono::milliseconds queue_limit = std::chrono::minutes(10);
};

struct LoadOptions {
  int threads = 0;              // 0: as many as the machine or the cgroup's quota gives
  int context = 0;              // 0: the model's own, at most what memory holds
  std::string cache_type;       // "f32", "bf16", "q8"; "": f32 with the scalar kernels, bf16 otherwise
  std::size_t cache_bytes = 0;  // memory for the cache of all runs; 0: what the weights leave
  std::size_t memory = 0;       // for weights, cache and the rest; 0: what this process may take
  std::string name;             // what clients call it; "": by its file
  int prefill_cell = 0;         // positions in a cell of the prefill grid; 0: the built-in size (tests make it small)
  std::string draft_path;       // of a small model with the same tokenizer, which guesses for this one; "": none
  std::size_t reserved = 0;     // bytes of memory that are not this model's
  EngineOptions engine;
  std::uint64_t seed = 0;                        // of runs that give none; 0: each draws its own
  std::function<void(const std::string&)> note;  // told, in a line each, what is worth knowing; may be empty
  std::function<void(double)> progress;          // 0..1 while the weights are read; may be empty
};

class LoadedModel {
 public:
  virtual ~LoadedModel() = default;
  virtual const std::string& name() const = 0;  // as the catalogue or the file calls it
  virtual const tokens::Tokenizer& tokenizer() const = 0;
  virtual const tokens::ChatTemplate& chat_template() const = 0;
  virtual Engine& engine() = 0;
  virtual const SamplingOptions& default_sampling() const = 0;  // the file's own recommendations over the built-in ones
  virtual std::span<const tokens::TokenId> stop_tokens() const = 0;
  virtual int context_length() const = 0;

  // Compiles what answers of this model may be held to. Made when first asked for; safe from several threads.
  const grammar::Compiler& grammars() const;

 private:
  mutable std::once_flag grammars_once_;
  mutable std::unique_ptr<grammar::Compiler> grammars_;
};

// `path`: a GGUF file or a directory in Hugging Face's layout. Errors: whatever is wrong with the files, in one line.
base::Result<std::unique_ptr<LoadedModel>> load_model(const std::string& path, LoadOptions options);

// What clients call a model that was given no name: its file's without the ending, or its directory's.
std::string model_name_of(const std::string& path);

// What a model needs of memory, known from its files' heads.
struct MemoryNeed {
  std::uint64_t least = 0;  // with fewer bytes it is refused
  std::uint64_t full = 0;   // for one context of full length, or what the options ask for
  int context = 0;          // the length of that
};
// Errors: as load_model's for files and options.
base::Result<MemoryNeed> memory_need(const std::string& path, const LoadOptions& options);

// The tokenizer of a GGUF file or of a directory, without the weights.
base::Result<tokens::Tokenizer> load_tokenizer(const std::string& path);

}  // namespace fathom::engine
