#include "engine/runner.h"

#include <algorithm>
#include <numeric>

#include "base/machine.h"
#include "base/resident.h"
#include "engine/draft_model.h"
#include "model/sizes.h"

namespace fathom::engine {

using base::DType;
using base::fail;
using base::Result;

namespace {

// A cache of fewer positions than this is of no use; a model that leaves less room is refused.
constexpr int kLeastContext = 256;
// Kept free of weights and cache for everything else: activations, the program, the system.
constexpr std::size_t kReserve = std::size_t{512} << 20;

Result<DType> cache_type(const std::string& name, const kernels::Table& table) {
  if (name.empty()) return table.name == "scalar" ? DType::kF32 : DType::kBF16;
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name == "q8") return DType::kI8;
  return fail("cache type \"{}\" is unknown, expected f32, bf16 or q8", name);
}

// A model is not run with other kernels than those that were asked for.
Result<void> check_kernels() {
  if (kernels::selection_error().empty()) return {};
  return fail("{}", kernels::selection_error());
}

// For a model that `memory` does not hold: what of it, or which others, would fit.
std::string what_fits(const model::Sizes& sizes, std::size_t memory, std::size_t besides) {
  // Weights of fewer bits than this are no longer of use.
  constexpr double kFewestBits = 2;
  const double room = memory > besides ? static_cast<double>(memory - besides) : 0;
  const double bits = 8 * room / static_cast<double>(std::max<std::int64_t>(sizes.parameters, 1));
  if (bits >= kFewestBits)
    return fmt::format("with {:.1f} bits a weight it would fit (it has {:.1f}; `fathom quantize` makes files of fewer)",
                       bits, 8 * static_cast<double>(sizes.bytes) / static_cast<double>(sizes.parameters));
  // What Q4_K_M files need.
  constexpr double kUsualBits = 4.9;
  return fmt::format("a model of up to {:.1f} billion weights of {} bits would fit (`fathom list --all` names some)",
                     8 * room / kUsualBits / 1e9, kUsualBits);
}

// Where the limit on addresses is what leaves no room. `positions`: what it leaves.
Result<void> check_addresses(const LoadOptions& options, std::size_t positions) {
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(options.context, kLeastContext));
  if (positions >= wanted) return {};
  return fail(
      "a context of {} positions does not fit into what the limit on this process's memory (ulimit -v) leaves, which "
      "is {}: lower --ctx or raise the limit",
      wanted, positions);
}

Result<int> thread_count(const LoadOptions& options) {
  if (options.threads < 0 || options.threads > 1024)
    return fail("{} threads are impossible, expected 1 to 1024", options.threads);
  return options.threads > 0 ? options.threads : base::usable_threads();
}

}  // namespace

Result<std::unique_ptr<Runner>> Runner::load(const std::string& path, const LoadOptions& options) {
  const auto threads = thread_count(options);
  if (!threads) return std::unexpected(threads.error());
  auto checkpoint = weights::Checkpoint::open(path);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  std::unique_ptr<Runner> runner(new Runner(path, *threads));
  runner->checkpoint_.emplace(std::move(*checkpoint));
  auto model = model::bind_model(*runner->checkpoint_);
  if (!model) return std::unexpected(model.error());
  runner->model_ = std::move(*model);
  if (auto ready = runner->set_up(options); !ready) return std::unexpected(ready.error());
  runner->read_weights(options);
  return runner;
}

void Runner::read_weights(const LoadOptions& options) {
  const auto all = static_cast<double>(model::sizes(*model_).bytes);
  double done = 0;
  for (const auto& spec : model_->describe()) {
    if (spec.matrix == nullptr || !*spec.matrix) continue;
    base::make_resident({spec.matrix->data, spec.matrix->bytes()}, [&](std::size_t bytes) {
      done += static_cast<double>(bytes);
      if (options.progress) options.progress(std::min(1.0, done / all));
    });
  }
}

Result<std::unique_ptr<Runner>> Runner::make(std::unique_ptr<model::Model> model, std::string name,
                                             const LoadOptions& options) {
  const auto threads = thread_count(options);
  if (!threads) return std::unexpected(threads.error());
  std::unique_ptr<Runner> runner(new Runner(std::move(name), *threads));
  runner->model_ = std::move(model);
  if (auto ready = runner->set_up(options); !ready) return std::unexpected(ready.error());
  return runner;
}

Result<void> Runner::set_up(const LoadOptions& options) {
  if (auto known = check_kernels(); !known) return known;
  if (options.prefill_cell < 0 || options.prefill_cell > 65536)
    return fail("a prefill cell of {} positions is impossible", options.prefill_cell);
  const kernels::Table& table = kernels::table();
  const auto type = cache_type(options.cache_type, table);
  if (!type) return std::unexpected(type.error());
  resources_ = {.table = &table,
                .pool = &pool_,
                .arena = &arena_,
                .cache = {.layers = model_->cache_layers(), .planes = model_->cache_planes(), .type = *type},
                .pack = table.pack != nullptr && model::has_block_formats(*model_)};
  if (options.prefill_cell > 0) prefill_cell_ = options.prefill_cell;
  // A page lies within one cell, so that all its rows are computed in one form.
  resources_.cache.page_tokens = std::gcd(resources_.cache.page_tokens, std::int64_t{prefill_cell_});
  return size_cache(options);
}

Result<void> Runner::size_cache(const LoadOptions& options) {
  const std::size_t memory = options.memory > 0 ? options.memory : base::usable_memory();
  const std::size_t weights = model::sizes(*model_).bytes;
  const std::size_t per_token = resources_.cache.bytes_per_token();
  const std::size_t taken = weights + kReserve + options.reserved;
  cache_budget_ = memory > taken ? memory - taken : 0;
  // The weights are mapped by now; what the rest needs of addresses is as much as it needs of memory.
  const std::size_t addresses = base::usable_addresses();
  const std::size_t mappable = addresses > kReserve ? addresses - kReserve : 0;
  if (mappable < cache_budget_) {
    cache_budget_ = mappable;
    if (auto enough = check_addresses(options, cache_budget_ / per_token); !enough) return enough;
  }
  if (options.cache_bytes > 0) {
    if (options.cache_bytes > cache_budget_)
      return fail("a cache of {:.1f} GiB was asked for, but memory leaves {:.1f} GiB beside the weights",
                  static_cast<double>(options.cache_bytes) / 0x1p30, static_cast<double>(cache_budget_) / 0x1p30);
    if (options.cache_bytes / per_token < kLeastContext)
      return fail("a cache of {} bytes holds {} positions, expected at least {}: {} bytes", options.cache_bytes,
                  options.cache_bytes / per_token, kLeastContext, per_token * kLeastContext);
    cache_budget_ = options.cache_bytes;
  }
  kept_budget_ = options.cache_bytes > 0 ? cache_budget_ : cache_budget_ / 4;
  const auto fitting =
      static_cast<std::int64_t>(std::min<std::size_t>(cache_budget_ / per_token, std::size_t{1} << 30));
  if (fitting < kLeastContext)
    return fail(
        "{} needs {:.1f} GiB for its weights and {:.1f} GiB for {} positions of context, but {:.1f} GiB of memory are "
        "usable: {}",
        name_, static_cast<double>(weights) / 0x1p30, static_cast<double>(per_token * kLeastContext) / 0x1p30,
        kLeastContext, static_cast<double>(memory) / 0x1p30,
        what_fits(model::sizes(*model_), memory, kReserve + per_token * kLeastContext));
  if (options.context < 0) return fail("a context of {} positions is impossible", options.context);
  if (options.context > fitting)
    return fail("a context of {} positions needs {:.1f} GiB, but memory holds {} beside the weights", options.context,
                static_cast<double>(per_token) * options.context / 0x1p30, fitting);
  context_ = static_cast<int>(options.context > 0 ? options.context
                                                  : std::min<std::int64_t>(model_->config().context, fitting));
  if (!options.note) return {};
  if (context_ > model_->config().context)
    options.note(fmt::format("{} was made for a context of {} tokens; with {} its answers may lose their way", name_,
                             model_->config().context, context_));
  if (options.context == 0 && context_ < model_->config().context)
    options.note(fmt::format("memory holds a context of {} of the {} tokens that {} was made for", context_,
                             model_->config().context, name_));
  return {};
}

Result<MemoryNeed> memory_need(const std::string& path, const LoadOptions& options) {
  const auto checkpoint = weights::Checkpoint::open(path);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  const auto model = model::bind_model(*checkpoint);
  if (!model) return std::unexpected(model.error());
  const auto type = cache_type(options.cache_type, kernels::table());
  if (!type) return std::unexpected(type.error());
  const model::CacheLayout cache{.layers = (*model)->cache_layers(), .planes = (*model)->cache_planes(), .type = *type};
  const std::uint64_t fixed = model::sizes(**model).bytes + kReserve, per_token = cache.bytes_per_token();
  MemoryNeed need{.context = static_cast<int>(options.context > 0 ? options.context : (*model)->config().context)};
  need.least = fixed + per_token * static_cast<std::uint64_t>(options.context > 0 ? options.context : kLeastContext);
  need.full = fixed + per_token * static_cast<std::uint64_t>(std::max(need.context, kLeastContext));
  if (options.cache_bytes > 0) need.least = need.full = fixed + options.cache_bytes;
  if (options.draft_path.empty()) return need;
  const auto draft = weights::Checkpoint::open(options.draft_path);
  if (!draft) return std::unexpected(draft.error());
  const auto guesses = model::bind_model(*draft);
  if (!guesses) return std::unexpected(guesses.error());
  const std::uint64_t more = model::sizes(**guesses).bytes + DraftModel::kCacheBytes;
  need.least += more;
  need.full += more;
  return need;
}

model::Step Runner::step(std::span<const model::Row> rows, std::span<const model::SequencePages> sequences) {
  arena_.reset();
  return model::Step(resources_, rows, sequences);
}

}  // namespace fathom::engine
