// One thread loads, looks and unloads, one model at a time, so that the budget is never counted twice; requests only
// look at what there is, and wait outside.
#include "server/model_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

#include "files/model_store.h"
#include "files/size_text.h"
#include "server/completion_run.h"

namespace fathom::server {

namespace {

using std::chrono::steady_clock;
using Condition = ModelStatus::State;

constexpr std::chrono::milliseconds kTellEvery{250};  // of a load's progress
constexpr std::chrono::seconds kEndLimit{10};
constexpr std::size_t kNamesShown = 12;

ApiError stopping() {
  return {.status = 503, .message = "the server stops", .code = "stopping"};
}

}  // namespace

ModelFacts facts_of(const engine::LoadedModel& model) {
  return {.context_length = model.context_length(),
          .can_think = model.chat_template().can_think(),
          .can_fill_in = can_fill_in(model.tokenizer()),
          .family = std::string(model.chat_template().format()),
          .chat_template = std::string(model.tokenizer().chat_template()),
          .sampling = model.default_sampling()};
}

// ---- tickets

LoadTicket::~LoadTicket() {
  std::optional<ApiResult<ModelUse>> result;  // dropped without the lock
  const std::lock_guard lock(slot_->mutex);
  slot_->given_up = true;
  slot_->wake = {};
  result.swap(slot_->result);
}

void LoadTicket::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(slot_->mutex);
  slot_->wake = std::move(wake);
  if (slot_->wake && slot_->result) slot_->wake();
}

std::optional<ApiResult<ModelUse>> LoadTicket::result() const {
  const std::lock_guard lock(slot_->mutex);
  return slot_->result;
}

ApiResult<ModelUse> LoadTicket::wait() const {
  std::unique_lock lock(slot_->mutex);
  slot_->changed.wait(lock, [this] { return slot_->result.has_value(); });
  return *slot_->result;
}

void LoadTicket::Slot::give(ApiResult<ModelUse> given) {
  const std::lock_guard lock(mutex);
  if (given_up) return;
  result = std::move(given);
  changed.notify_all();
  if (wake) wake();
}

// ---- the pool

struct ModelPool::State : std::enable_shared_from_this<ModelPool::State> {
  struct Entry {
    ModelSource source;
    Condition condition = Condition::kUnloaded;
    double progress = 0;
    std::shared_ptr<engine::LoadedModel> model;
    std::uint64_t memory = 0;
    std::shared_ptr<const ModelFacts> facts;
    std::string error;
    bool looked = false;  // at its files, or it is known to be useless
    bool removed = false;
    int uses = 0;
    KeepAlive keep_alive{};
    steady_clock::time_point idle_since;
    std::vector<std::weak_ptr<LoadTicket::Slot>> waiting;
    std::shared_ptr<LoadTicket> unattended;  // of whoever wants it loaded and does not wait
    std::uint64_t turn = 0;                  // who asked first loads first
  };
  struct Lease;
  using Lock = std::unique_lock<std::mutex>;

  explicit State(Options given) : options(std::move(given)) {}

  void stir() {
    has_news = true;
    news.notify_all();
  }
  Entry* find(std::string_view name);
  ApiResult<Asked> ask(std::string_view name, std::optional<KeepAlive> wanted);
  ApiError no_such(std::string_view name) const;
  ModelStatus status_of(const Entry& entry) const;
  ModelUse lease(Entry& entry);
  bool is_waited_for(Entry& entry);
  std::uint64_t free_memory() const;

  // ---- the thread, with the lock held at both ends
  void work(const std::stop_token& stop);
  Entry* to_unload();
  Entry* to_load();
  Entry* to_look_at();
  std::optional<steady_clock::time_point> next_time() const;
  void unload(Entry& entry, Lock& lock);
  void look(Entry& entry, Lock& lock);
  bool make_room(Entry& entry, Lock& lock);  // false: somebody has to leave first
  void load(Entry& entry, std::uint64_t memory, Lock& lock);
  std::uint64_t wanted_memory(const Entry& entry) const;
  Entry* least_recent(bool idle);
  void answer_waiting(Entry& entry, const ApiError* error, Lock& lock);
  void tell(const std::string& name, Lock& lock);

  const Options options;
  std::mutex tell_mutex;  // of `changed`, held while it is called
  std::function<void(const std::string&)> changed;

  mutable std::mutex mutex;  // of all that follows
  std::condition_variable_any news;
  bool has_news = false;                        // for the thread
  std::vector<std::unique_ptr<Entry>> entries;  // never moved: leases point to them
  std::uint64_t turns = 0;
  bool closed = false;
  std::optional<steady_clock::time_point> room_deadline;  // of the load that waits for room
  std::jthread thread;                                    // last
};

// Held through the pointers that are given out.
struct ModelPool::State::Lease {
  std::shared_ptr<State> state;
  Entry* entry;
  Lease(std::shared_ptr<State> s, Entry* e) : state(std::move(s)), entry(e) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    {
      const std::lock_guard lock(state->mutex);
      --entry->uses;
      entry->idle_since = steady_clock::now();
      state->stir();
    }
  }
};

ModelPool::State::Entry* ModelPool::State::find(std::string_view name) {
  const auto match = [&](auto member) {
    const auto found = std::ranges::find_if(entries, [&](const auto& e) { return !e->removed && member(*e) == name; });
    return found == entries.end() ? nullptr : found->get();
  };
  if (name.empty()) {
    const auto first = std::ranges::find_if(entries, [](const auto& e) { return !e->removed; });
    return first == entries.end() ? nullptr : first->get();
  }
  Entry* entry = match([](const Entry& e) -> const std::string& { return e.source.name; });
  return entry != nullptr ? entry : match([](const Entry& e) -> const std::string& { return e.source.also; });
}

ApiError ModelPool::State::no_such(std::string_view name) const {
  std::vector<std::string> names;
  for (const auto& entry : entries)
    if (!entry->removed) names.push_back(entry->source.name);
  const std::string asked(name.substr(0, 200));
  if (const auto near = files::nearest_name(asked, names))
    std::ranges::rotate(names.begin(), std::ranges::find(names, *near), std::ranges::find(names, *near) + 1);
  std::string shown;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) shown += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kNamesShown) shown += fmt::format(" and {} more", names.size() - kNamesShown);
  return {.status = 404,
          .message = names.empty() ? fmt::format("no model {:?} here, nor any other yet", asked)
                                   : fmt::format("no model {:?} here; there is: {}", asked, shown),
          .param = "model",
          .code = "model_not_found"};
}

ModelStatus ModelPool::State::status_of(const Entry& entry) const {
  ModelStatus status{.source = entry.source,
                     .state = entry.condition,
                     .progress = entry.progress,
                     .memory = entry.memory,
                     .uses = entry.uses,
                     .facts = entry.facts,
                     .error = entry.error};
  if (status.is_loaded() && entry.keep_alive != kStays) {
    const auto since = entry.uses > 0 ? steady_clock::now() : entry.idle_since;
    const auto left = std::max<steady_clock::duration>(since + entry.keep_alive - steady_clock::now(), {});
    status.expires =
        std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
  }
  return status;
}

ModelUse ModelPool::State::lease(Entry& entry) {
  ++entry.uses;
  return {std::make_shared<Lease>(shared_from_this(), &entry), entry.model.get()};
}

bool ModelPool::State::is_waited_for(Entry& entry) {
  std::erase_if(entry.waiting, [](const auto& slot) { return slot.expired(); });
  return !entry.waiting.empty();
}

std::uint64_t ModelPool::State::free_memory() const {
  std::uint64_t taken = 0;
  for (const auto& entry : entries) taken += entry->memory;
  return options.memory > taken ? options.memory - taken : 0;
}

// ---- the thread

void ModelPool::State::work(const std::stop_token& stop) {
  Lock lock(mutex);
  while (!stop.stop_requested()) {
    if (Entry* gone = to_unload()) {
      unload(*gone, lock);
      continue;
    }
    if (Entry* wanted = to_load()) {
      if (!wanted->looked) {
        look(*wanted, lock);
        continue;
      }
      if (make_room(*wanted, lock)) continue;
    } else if (Entry* unknown = to_look_at()) {
      look(*unknown, lock);
      continue;
    }
    const auto came = [this] { return std::exchange(has_news, false); };
    if (const auto time = next_time()) {
      news.wait_until(lock, stop, *time, came);
    } else {
      news.wait(lock, stop, came);
    }
  }
}

ModelPool::State::Entry* ModelPool::State::to_unload() {
  const auto now = steady_clock::now();
  const auto due = [&](const auto& e) {
    if (!e->model || e->uses > 0) return false;
    if (e->condition == Condition::kLeaving) return true;
    return e->keep_alive != kStays && now >= e->idle_since + e->keep_alive;
  };
  const auto found = std::ranges::find_if(entries, due);
  return found == entries.end() ? nullptr : found->get();
}

ModelPool::State::Entry* ModelPool::State::to_load() {
  Entry* first = nullptr;
  for (const auto& entry : entries) {
    if (entry->model) continue;  // leaving
    if (!is_waited_for(*entry)) {
      entry->condition = Condition::kUnloaded;
    } else if (first == nullptr || entry->turn < first->turn) {
      first = entry.get();
    }
  }
  if (first == nullptr) room_deadline.reset();
  return first;
}

ModelPool::State::Entry* ModelPool::State::to_look_at() {
  const auto found = std::ranges::find_if(entries, [](const auto& e) { return !e->looked && !e->removed; });
  return found == entries.end() ? nullptr : found->get();
}

std::optional<steady_clock::time_point> ModelPool::State::next_time() const {
  auto time = room_deadline;
  for (const auto& entry : entries) {
    if (!entry->model || entry->uses > 0 || entry->keep_alive == kStays) continue;
    const auto due = entry->idle_since + entry->keep_alive;
    time = time ? std::min(*time, due) : due;
  }
  return time;
}

void ModelPool::State::unload(Entry& entry, Lock& lock) {
  std::shared_ptr<engine::LoadedModel> model = std::move(entry.model);
  entry.condition = Condition::kWaiting;  // for its own memory, should somebody ask
  lock.unlock();
  model.reset();
  spdlog::info("unloaded {}", entry.source.name);
  lock.lock();
  entry.memory = 0;
  if (entry.waiting.empty()) entry.condition = Condition::kUnloaded;
  tell(entry.source.name, lock);
}

void ModelPool::State::look(Entry& entry, Lock& lock) {
  entry.looked = true;
  lock.unlock();
  auto facts = options.look(entry.source);
  lock.lock();
  if (facts) {
    entry.facts = std::make_shared<const ModelFacts>(std::move(*facts));
    entry.error.clear();
    return tell(entry.source.name, lock);
  }
  entry.error = facts.error().message;
  const bool waited_for = is_waited_for(entry);
  if (waited_for) {
    entry.looked = false;  // whoever asks again looks again: the files may have changed
    const ApiError error{.status = 500, .message = entry.error, .code = "model_load_failed"};
    answer_waiting(entry, &error, lock);
    entry.looked = true;
  }
  tell(entry.source.name, lock);
}

// A model that is the only one may take all; several share, each up to a context of full length, as long as
// that leaves another one half of what it does not need itself.
std::uint64_t ModelPool::State::wanted_memory(const Entry& entry) const {
  if (std::ranges::count(entries, false, [](const auto& e) { return e->removed; }) < 2) return options.memory;
  const std::uint64_t least = entry.facts->least_memory;
  return std::max(least, std::min(entry.facts->full_memory, least + (options.memory - least) / 2));
}

ModelPool::State::Entry* ModelPool::State::least_recent(bool idle) {
  Entry* found = nullptr;
  for (const auto& e : entries) {
    if (!e->model || e->condition == Condition::kLeaving || (e->uses == 0) != idle) continue;
    if (found == nullptr || e->idle_since < found->idle_since) found = e.get();
  }
  return found;
}

bool ModelPool::State::make_room(Entry& entry, Lock& lock) {
  if (options.memory == 0) {
    load(entry, 0, lock);
    return true;
  }
  if (!entry.facts) {
    const ApiError error{.status = 500, .message = entry.error, .code = "model_load_failed"};
    entry.looked = false;
    answer_waiting(entry, &error, lock);
    return true;
  }
  const std::uint64_t least = entry.facts->least_memory;
  if (least > options.memory) {
    const ApiError error{
        .status = 503,
        .message = fmt::format("{} needs {} of memory and the server has {} for models", entry.source.name,
                               files::size_text(least), files::size_text(options.memory)),
        .code = "model_unfit"};
    entry.error = error.message;
    answer_waiting(entry, &error, lock);
    return true;
  }
  const std::uint64_t wanted = wanted_memory(entry);
  const std::uint64_t free = free_memory();
  if (free < wanted) {
    if (Entry* idle = least_recent(true)) {
      spdlog::info("{} makes room for {}", idle->source.name, entry.source.name);
      unload(*idle, lock);
      return true;
    }
  }
  if (free >= least) {
    load(entry, std::min(free, wanted), lock);
    return true;
  }
  const auto now = steady_clock::now();
  if (!room_deadline) room_deadline = now + options.room_limit;
  if (now >= *room_deadline) {
    room_deadline.reset();
    const ApiError error{
        .status = 503,
        .message = fmt::format("there is no memory for {} while other models answer: try again", entry.source.name),
        .code = "overloaded"};
    answer_waiting(entry, &error, lock);
    return true;
  }
  const bool somebody_leaves =
      std::ranges::any_of(entries, [](const auto& e) { return e->model && e->condition == Condition::kLeaving; });
  if (Entry* busy = somebody_leaves ? nullptr : least_recent(false)) {
    spdlog::info("{} leaves for {} when its answers end", busy->source.name, entry.source.name);
    busy->condition = Condition::kLeaving;
    tell(busy->source.name, lock);
  }
  return false;
}

void ModelPool::State::load(Entry& entry, std::uint64_t memory, Lock& lock) {
  room_deadline.reset();
  entry.condition = Condition::kLoading;
  entry.progress = 0;
  entry.memory = memory;
  tell(entry.source.name, lock);
  lock.unlock();
  auto told = steady_clock::now();
  const auto progress = [&](double share) {
    Lock inner(mutex);
    entry.progress = share;
    if (steady_clock::now() - told < kTellEvery) return;
    told = steady_clock::now();
    tell(entry.source.name, inner);
  };
  auto model = options.load(entry.source, memory, progress);
  if (model) {
    spdlog::info("loaded {}", entry.source.name);
  } else {
    spdlog::warn("{} was not loaded: {}", entry.source.name, model.error().message);
  }
  lock.lock();
  if (!model) {
    entry.condition = Condition::kUnloaded;
    entry.memory = 0;
    entry.error = model.error().message;
    entry.looked = entry.facts != nullptr;
    const ApiError error{.status = 500, .message = entry.error, .code = "model_load_failed"};
    answer_waiting(entry, &error, lock);
    return tell(entry.source.name, lock);
  }
  entry.model = std::move(*model);
  entry.condition = Condition::kLoaded;
  entry.error.clear();
  entry.idle_since = steady_clock::now();
  if (!entry.facts) entry.facts = std::make_shared<const ModelFacts>(facts_of(*entry.model));
  answer_waiting(entry, nullptr, lock);
  tell(entry.source.name, lock);
}

// Tickets are answered without the lock: a use that nobody waits for any more is let go here, which takes the lock.
void ModelPool::State::answer_waiting(Entry& entry, const ApiError* error, Lock& lock) {
  std::vector<std::pair<std::shared_ptr<LoadTicket::Slot>, ApiResult<ModelUse>>> answers;
  for (const auto& waiting : std::exchange(entry.waiting, {})) {
    auto slot = waiting.lock();
    if (!slot) continue;
    if (error != nullptr) {
      answers.emplace_back(std::move(slot), std::unexpected(*error));
    } else {
      answers.emplace_back(std::move(slot), lease(entry));
    }
  }
  if (error != nullptr) entry.condition = Condition::kUnloaded;
  std::shared_ptr<LoadTicket> unattended = std::move(entry.unattended);
  lock.unlock();
  for (auto& [slot, result] : answers) slot->give(std::move(result));
  answers.clear();
  unattended.reset();
  lock.lock();
}

void ModelPool::State::tell(const std::string& name, Lock& lock) {
  lock.unlock();
  {
    const std::lock_guard telling(tell_mutex);
    if (changed) changed(name);
  }
  lock.lock();
}

// ---- what others see

ModelPool::ModelPool(Options options, std::vector<ModelSource> sources)
    : state_(std::make_shared<State>(std::move(options))) {
  for (ModelSource& source : sources) add(std::move(source));
  state_->thread = std::jthread([state = state_.get()](const std::stop_token& stop) { state->work(stop); });
}

std::shared_ptr<ModelPool> ModelPool::of(std::vector<std::shared_ptr<engine::LoadedModel>> models,
                                         std::int64_t created) {
  const auto find = [models](const ModelSource& source) {
    return *std::ranges::find_if(models, [&](const auto& model) { return model->name() == source.name; });
  };
  auto pool = std::make_shared<ModelPool>(
      Options{.look = [find](const ModelSource& source) -> base::Result<ModelFacts> { return facts_of(*find(source)); },
              .load = [find](const ModelSource& source, std::uint64_t, const auto&)
                  -> base::Result<std::shared_ptr<engine::LoadedModel>> { return find(source); }},
      std::vector<ModelSource>{});
  const std::lock_guard lock(pool->state_->mutex);
  for (const auto& model : models) {
    auto entry = std::make_unique<State::Entry>();
    entry->source = {.name = model->name(), .stays = true, .created = created};
    entry->facts = std::make_shared<const ModelFacts>(facts_of(*model));
    entry->looked = true;
    entry->model = model;
    entry->condition = Condition::kLoaded;
    entry->keep_alive = kStays;
    pool->state_->entries.push_back(std::move(entry));
  }
  return pool;
}

ModelPool::~ModelPool() {
  state_->thread.request_stop();
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
  }
  state_->thread.join();
  State::Lock lock(state_->mutex);
  const ApiError error = stopping();
  for (const auto& entry : state_->entries) state_->answer_waiting(*entry, &error, lock);
  // An engine that is to end may still hold the last use of its model, and must not be the one to destroy it.
  const auto unused = [this] {
    return std::ranges::all_of(state_->entries, [](const auto& e) { return e->uses == 0; });
  };
  if (!state_->news.wait_for(lock, kEndLimit, unused)) spdlog::error("some models are still in use");
}

void ModelPool::set_changed(std::function<void(const std::string& name)> changed) {
  const std::lock_guard lock(state_->tell_mutex);
  state_->changed = std::move(changed);
}

ApiResult<ModelPool::Asked> ModelPool::State::ask(std::string_view name, std::optional<KeepAlive> wanted) {
  if (closed) return std::unexpected(stopping());
  Entry* entry = find(name);
  if (entry == nullptr) return std::unexpected(no_such(name));
  if (!entry->source.stays) entry->keep_alive = wanted.value_or(options.keep_alive);
  if (entry->condition == Condition::kLoaded) return Asked{.use = lease(*entry)};
  auto ticket = std::make_shared<LoadTicket>();
  if (entry->waiting.empty()) entry->turn = ++turns;
  entry->waiting.push_back(ticket->slot_);
  if (entry->condition == Condition::kUnloaded) entry->condition = Condition::kWaiting;
  stir();
  return Asked{.ticket = std::move(ticket)};
}

ApiResult<ModelPool::Asked> ModelPool::ask(std::string_view name, std::optional<KeepAlive> keep_alive) {
  const std::lock_guard lock(state_->mutex);
  return state_->ask(name, keep_alive);
}

ApiResult<void> ModelPool::load(std::string_view name) {
  Asked asked;  // what of it is not kept is let go without the lock
  const std::lock_guard lock(state_->mutex);
  auto answer = state_->ask(name, std::nullopt);
  if (!answer) return std::unexpected(answer.error());
  asked = std::move(*answer);
  if (asked.ticket) std::swap(state_->find(name)->unattended, asked.ticket);
  return {};
}

ApiResult<void> ModelPool::unload(std::string_view name) {
  const std::lock_guard lock(state_->mutex);
  State::Entry* entry = state_->find(name);
  if (entry == nullptr) return std::unexpected(state_->no_such(name));
  if (entry->condition == Condition::kLoaded) entry->condition = Condition::kLeaving;
  state_->stir();
  return {};
}

void ModelPool::add(ModelSource source) {
  const std::lock_guard lock(state_->mutex);
  if (State::Entry* known = state_->find(source.name); known != nullptr && !source.name.empty()) return;
  auto entry = std::make_unique<State::Entry>();
  entry->keep_alive = source.stays ? kStays : state_->options.keep_alive;
  entry->source = std::move(source);
  state_->entries.push_back(std::move(entry));
  state_->stir();
}

bool ModelPool::remove(std::string_view name) {
  const std::lock_guard lock(state_->mutex);
  State::Entry* entry = state_->find(name);
  if (entry == nullptr) return true;
  if (entry->condition != Condition::kUnloaded) return false;
  entry->removed = true;
  return true;
}

std::vector<ModelStatus> ModelPool::list() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<ModelStatus> all;
  for (const auto& entry : state_->entries)
    if (!entry->removed) all.push_back(state_->status_of(*entry));
  return all;
}

ApiResult<ModelStatus> ModelPool::status(std::string_view name) const {
  const std::lock_guard lock(state_->mutex);
  const State::Entry* entry = state_->find(name);
  if (entry == nullptr) return std::unexpected(state_->no_such(name));
  return state_->status_of(*entry);
}

std::vector<std::shared_ptr<engine::LoadedModel>> ModelPool::loaded() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::shared_ptr<engine::LoadedModel>> models;
  for (const auto& entry : state_->entries)
    if (entry->model) models.push_back(entry->model);
  return models;
}

std::uint64_t ModelPool::memory() const {
  return state_->options.memory;
}

}  // namespace fathom::server
