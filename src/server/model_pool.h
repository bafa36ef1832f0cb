// The models that a server can answer with: which are loaded, how they come and go within a budget of memory, and who
// waits for one. How a model is loaded is a function that the pool is given; files and engines are not known here.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/loaded_model.h"
#include "server/api_error.h"

namespace fathom::server {

// A model in use: it stays loaded as long as one of these is held. Outlives the pool.
using ModelUse = std::shared_ptr<engine::LoadedModel>;

using KeepAlive = std::chrono::milliseconds;  // how long an unused model stays loaded
inline constexpr KeepAlive kStays = KeepAlive::max();

// What is known of a model without its being loaded.
struct ModelFacts {
  std::uint64_t bytes = 0;         // of its files; 0: not known
  std::uint64_t least_memory = 0;  // with less it cannot run
  std::uint64_t full_memory = 0;   // for its weights and one context of full length
  int context_length = 0;
  bool can_think = false, can_fill_in = false;
  std::string format, family, parameters, quantization;  // "GGUF", "chatml", "1.8 B", "q4_k"; "" where not known
  std::string chat_template;
  engine::SamplingOptions sampling;
};

// Of one that is loaded.
ModelFacts facts_of(const engine::LoadedModel& model);

// What a request waits with for a model that is being loaded.
class LoadTicket {
 public:
  LoadTicket() = default;
  LoadTicket(const LoadTicket&) = delete;
  LoadTicket& operator=(const LoadTicket&) = delete;
  ~LoadTicket();  // with whatever use came of it

  // Called on any thread once there is a result, at once where it is there: it must only post. Empty: nobody waits.
  void set_wake(std::function<void()> wake);
  // None until the model is there, or why it is not.
  std::optional<ApiResult<ModelUse>> result() const;
  ApiResult<ModelUse> wait() const;  // blocks

 private:
  friend class ModelPool;
  // What the pool fills in. It may hold this a moment longer than there is a ticket, and then holds no use.
  struct Slot {
    std::mutex mutex;  // of all
    std::condition_variable changed;
    std::function<void()> wake;
    std::optional<ApiResult<ModelUse>> result;
    bool given_up = false;
    void give(ApiResult<ModelUse> result);
  };
  std::shared_ptr<Slot> slot_ = std::make_shared<Slot>();
};

struct ModelSource {
  std::string name;          // by which requests ask for it
  std::string also;          // another name for the same, such as its file's; "": none
  std::string path;          // of its files, for whoever looks at them and loads it
  bool stays = false;        // unused, it leaves only for another that needs its memory
  std::uint64_t bytes = 0;   // of its files; 0: not known
  std::int64_t created = 0;  // seconds since 1970
};

// A model as lists show it.
struct ModelStatus {
  enum class State { kUnloaded, kWaiting, kLoading, kLoaded, kLeaving };  // leaving: unloaded once its answers end
  ModelSource source;
  State state = State::kUnloaded;
  double progress = 0;                      // 0..1 while it is loaded
  std::uint64_t memory = 0;                 // bytes of the budget that it has
  int uses = 0;                             // answers that use it now
  std::shared_ptr<const ModelFacts> facts;  // none: its files were not looked at yet
  std::string error;                        // why the last try to look at it or to load it failed
  // When it leaves if it is not used; none: it stays.
  std::optional<std::chrono::system_clock::time_point> expires;

  bool is_loaded() const { return state == State::kLoaded || state == State::kLeaving; }
};

class ModelPool {
 public:
  struct Options {
    std::uint64_t memory = 0;  // bytes for all models together; 0: no limit
    KeepAlive keep_alive = std::chrono::minutes(15);
    std::chrono::milliseconds room_limit = std::chrono::minutes(10);  // how long a load waits for others to leave
    // Reads the files' heads. Called on the pool's thread, as is `load`, which may take `memory` bytes (0: as it
    // likes).
    std::function<base::Result<ModelFacts>(const ModelSource&)> look;
    std::function<base::Result<std::shared_ptr<engine::LoadedModel>>(const ModelSource&, std::uint64_t memory,
                                                                     const std::function<void(double)>& progress)>
        load;
  };

  ModelPool(Options options, std::vector<ModelSource> sources);
  // Models that are loaded already, and stay.
  static std::shared_ptr<ModelPool> of(std::vector<std::shared_ptr<engine::LoadedModel>> models,
                                       std::int64_t created = 0);
  ~ModelPool();  // tells who waits that the server stops; uses may outlive it

  // Told, on the pool's thread, of a model that changed in what `list` says. Once this returns, the one before is not
  // called any more.
  void set_changed(std::function<void(const std::string& name)> changed);

  struct Asked {
    ModelUse use;                        // one of these two
    std::shared_ptr<LoadTicket> ticket;  // dropping it leaves the queue
  };
  // The model of that name, "": the first one. Errors: 404, with the names that there are, the nearest first.
  ApiResult<Asked> ask(std::string_view name, std::optional<KeepAlive> keep_alive = {});
  // Begins to load it, though nobody waits. Errors: 404.
  ApiResult<void> load(std::string_view name);
  // Unloads it as soon as no answer uses it. Errors: 404.
  ApiResult<void> unload(std::string_view name);

  void add(ModelSource source);           // nothing where there is one of that name
  bool remove(std::string_view name);     // false: loaded or waited for, so it was left
  std::vector<ModelStatus> list() const;  // in the order in which they were given; the first is the default
  ApiResult<ModelStatus> status(std::string_view name) const;  // errors: as ask
  // For a look at their engines that is no use of them: not to be kept.
  std::vector<std::shared_ptr<engine::LoadedModel>> loaded() const;
  std::uint64_t memory() const;  // the budget; 0: no limit

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fathom::server
