#include "server/app/model_library.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "files/catalog.h"
#include "files/http.h"
#include "files/local_models.h"

namespace fathom::server::app {

namespace {

using files::CatalogEntry;
using files::PullProgress;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTellEvery{250};
constexpr int kProbeSeconds = 5;
constexpr double kShownContext = 4096;  // the contract's, for what a model needs of memory
constexpr double kComfort = 0.8;        // a model that takes more of the memory than this is tight

// "DeepSeek-R1-Distill-Qwen-1.5B" of "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B".
std::string name_for_people(const CatalogEntry& entry) {
  return entry.safetensors.empty() ? entry.name : entry.safetensors.substr(entry.safetensors.find('/') + 1);
}

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (auto at = std::filesystem::directory_iterator(folder, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) bytes += at->file_size(ignored);
  }
  return bytes;
}

std::uint64_t shown_memory(const ModelFacts& facts) {
  if (facts.context_length == 0) return facts.least_memory;
  const double share = std::min(1.0, kShownContext / facts.context_length);
  return facts.least_memory +
         static_cast<std::uint64_t>(share * static_cast<double>(facts.full_memory - facts.least_memory));
}

Json number_or_null(std::uint64_t number) {
  return number == 0 ? Json(nullptr) : Json(number);
}

// Pulling tells what is wrong in a line for people; the page wants to know the kind.
std::string kind_of_failure(const std::string& message) {
  return message.contains("disk is full") || message.contains("are free") ? "no_space" : "offline";
}

}  // namespace

// A download under way, paused or failed. Its thread ends before it is started again.
struct ModelLibrary::Fetching {
  std::stop_source stop;
  bool running = true;  // of these, under the library's mutex
  std::uint64_t done = 0, total = 0;
  double bytes_per_second = 0, seconds_left = 0;
  steady_clock::time_point told;
  std::optional<std::pair<std::string, std::string>> error;  // code, message
  std::jthread thread;
};

// One model, from whichever place knows of it.
struct ModelLibrary::Row {
  std::string id, path;
  const CatalogEntry* entry = nullptr;
  std::optional<ModelStatus> loaded;  // of the pool
  bool first = false;                 // of the pool
  std::uint64_t bytes = 0;
  bool here = false;
};

ModelLibrary::ModelLibrary(std::shared_ptr<ModelPool> pool, ModelPlaces places, std::function<void(Json)> tell)
    : pool_(std::move(pool)), places_(std::move(places)), tell_(std::move(tell)) {
  pool_->set_changed([this](const std::string& name) { this->tell(name); });
}

ModelLibrary::~ModelLibrary() {
  pool_->set_changed({});
  stop_.request_stop();
  std::map<std::string, std::shared_ptr<Fetching>> ending;
  {
    const std::lock_guard lock(mutex_);
    ending = fetching_;
  }
  for (const auto& [id, fetching] : ending) fetching->stop.request_stop();
  for (const auto& [id, fetching] : ending)
    if (fetching->thread.joinable()) fetching->thread.join();
}

// ---- what there is

std::vector<ModelLibrary::Row> ModelLibrary::rows() const {
  std::map<std::string, const CatalogEntry*> by_path;
  if (places_.store) {
    for (const CatalogEntry& entry : files::catalog())
      if (const auto path = places_.store->resolve(entry.name)) by_path[*path] = &entry;
  }
  std::vector<Row> rows;
  const auto known = [&](const auto& matches) { return std::ranges::any_of(rows, matches); };
  for (ModelStatus& status : pool_->list()) {
    Row row{.id = status.source.name,
            .path = status.source.path,
            .entry = files::find_in_catalog(status.source.name),
            .first = rows.empty(),
            .bytes = status.facts ? status.facts->bytes : status.source.bytes,
            .here = true};
    if (const auto found = by_path.find(row.path); row.entry == nullptr && found != by_path.end())
      row.entry = found->second;
    row.loaded = std::move(status);
    rows.push_back(std::move(row));
  }
  if (!places_.store) return rows;
  for (const files::LocalModel& local : places_.store->list()) {
    const auto found = by_path.find(local.path);
    const std::string id = found != by_path.end() ? found->second->name : engine::model_name_of(local.path);
    if (!is_model_id(id) || known([&](const Row& row) { return row.id == id || row.path == local.path; })) continue;
    rows.push_back({.id = id,
                    .path = local.path,
                    .entry = found == by_path.end() ? nullptr : found->second,
                    .bytes = local.bytes,
                    .here = true});
  }
  for (const CatalogEntry& entry : files::catalog()) {
    if (known([&](const Row& row) { return row.entry == &entry || row.id == entry.name; })) continue;
    rows.push_back({.id = entry.name, .path = "", .entry = &entry, .bytes = entry.bytes});
  }
  std::ranges::stable_sort(rows, {}, [](const Row& row) {
    return row.loaded && row.loaded->is_loaded() ? 0 : row.here ? 1 : 2;
  });
  return rows;
}

std::optional<ModelLibrary::Row> ModelLibrary::row(const std::string& id) const {
  for (Row& row : rows())
    if (row.id == id) return std::move(row);
  return std::nullopt;
}

std::string ModelLibrary::fits(std::uint64_t memory) const {
  std::uint64_t room = pool_->memory();
  if (room == 0)
    room = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) * static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  if (memory == 0) return "unknown";
  if (memory > room) return "too_large";
  return static_cast<double>(memory) > kComfort * static_cast<double>(room) ? "tight" : "well";
}

Json ModelLibrary::to_json(const Row& row) const {
  const ModelFacts* facts = row.loaded && row.loaded->facts ? row.loaded->facts.get() : nullptr;
  const std::uint64_t memory = facts != nullptr && facts->least_memory > 0 ? shown_memory(*facts)
                               : row.entry != nullptr                      ? row.entry->memory
                                                                           : 0;
  Json model = {{"id", row.id},
                {"name", row.entry == nullptr ? row.id : name_for_people(*row.entry)},
                {"description", row.entry == nullptr ? "" : row.entry->about},
                {"state", row.here ? "on_disk" : "remote"},
                {"default", row.first},
                {"thinks", facts != nullptr && facts->can_think ? "choice" : "never"},
                {"bytes", number_or_null(row.bytes)},
                {"memory_bytes", number_or_null(memory)},
                {"fits", row.loaded && row.loaded->is_loaded() ? "well" : fits(memory)},
                {"context_length", nullptr},
                {"tokens_per_second", nullptr},
                {"licence", row.entry == nullptr ? Json(nullptr) : Json(row.entry->licence)},
                {"download", nullptr},
                {"error", nullptr}};
  if (facts != nullptr)
    model["context_length"] = facts->context_length;
  else if (row.entry != nullptr)
    model["context_length"] = row.entry->context;
  if (row.loaded) {
    const bool loading =
        row.loaded->state == ModelStatus::State::kLoading || row.loaded->state == ModelStatus::State::kWaiting;
    model["state"] = row.loaded->is_loaded() ? "loaded" : loading ? "loading" : "on_disk";
    if (!row.loaded->error.empty() && !loading) {
      model["state"] = "failed";
      model["error"] = {{"code", "model_failed"}, {"message", row.loaded->error}};
    }
  }
  if (row.here || !places_.store) return model;
  const std::lock_guard lock(mutex_);
  if (const auto found = fetching_.find(row.id); found != fetching_.end()) {
    const Fetching& f = *found->second;
    model["state"] = f.error ? "failed" : f.running ? "downloading" : "paused";
    if (f.error) model["error"] = {{"code", f.error->first}, {"message", f.error->second}};
    model["download"] = {{"done_bytes", f.done},
                         {"total_bytes", f.total == 0 ? Json(row.bytes) : Json(f.total)},
                         {"bytes_per_second", f.bytes_per_second > 0 ? Json(f.bytes_per_second) : Json(nullptr)},
                         {"seconds_left", f.seconds_left > 0 ? Json(f.seconds_left) : Json(nullptr)}};
  } else if (const std::uint64_t come = bytes_in(places_.store->places().models() + "/" + row.id); come > 0) {
    model["state"] = "paused";  // by an earlier server
    model["download"] = {
        {"done_bytes", come}, {"total_bytes", row.bytes}, {"bytes_per_second", nullptr}, {"seconds_left", nullptr}};
  }
  return model;
}

Json ModelLibrary::list() const {
  Json models = Json::array();
  for (const Row& row : rows())
    if (is_model_id(row.id) || row.loaded) models.push_back(to_json(row));
  return models;
}

AppResult<Json> ModelLibrary::shown(const std::string& id) const {
  const auto found = row(id);
  if (!found) return std::unexpected(not_found(fmt::format("there is no model {:?} here", id.substr(0, 120))));
  return to_json(*found);
}

void ModelLibrary::tell(const std::string& id) {
  if (auto model = shown(id)) tell_(std::move(*model));
}

// ---- the hub

std::string ModelLibrary::hub_state(bool probe) {
  if (!can_fetch()) return "unreachable";
  const std::lock_guard lock(mutex_);
  if (!probe || probing_ || hub_state_ == "reachable") return hub_state_;
  probing_ = true;
  probe_ = std::jthread([this, url = places_.hub->endpoint] {
    const auto head = files::http_get({.url = url, .stop = stop_.get_token(), .stall_seconds = kProbeSeconds},
                                      {.started = [](const files::HttpResponse&) { return false; },
                                       .body = [](std::span<const std::byte>) { return false; }});
    const std::lock_guard inner(mutex_);
    hub_state_ = head ? "reachable" : "unreachable";
    probing_ = false;
  });
  return "unknown";
}

// ---- what is asked for

AppResult<Json> ModelLibrary::load(const std::string& id) {
  const auto found = row(id);
  if (!found) return shown(id);
  if (!found->here)
    return std::unexpected(
        AppError{.status = 409, .code = "model_missing", .message = fmt::format("{} is not on this machine yet", id)});
  if (!found->loaded)
    pool_->add({.name = id, .also = engine::model_name_of(found->path), .path = found->path, .bytes = found->bytes});
  if (const auto begun = pool_->load(id); !begun)
    return std::unexpected(AppError{.status = 409, .code = "model_failed", .message = begun.error().message});
  return shown(id);
}

AppResult<Json> ModelLibrary::fetch(const std::string& id) {
  const std::lock_guard ordered(order_);
  const auto found = row(id);
  if (!found) return shown(id);
  if (found->here) return to_json(*found);
  if (!can_fetch() || found->entry->from_wheel)
    return std::unexpected(
        AppError{.status = 409, .code = "offline", .message = "this server fetches no models from the hub"});
  std::shared_ptr<Fetching> before;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = fetching_.find(id); at != fetching_.end()) before = at->second;
  }
  if (before && before->running && !before->stop.stop_requested()) return to_json(*found);
  if (before && before->thread.joinable()) before->thread.join();
  auto fetching = std::make_shared<Fetching>();
  fetching->total = found->bytes;
  fetching->done = before ? before->done : 0;
  {
    const std::lock_guard lock(mutex_);
    fetching_[id] = fetching;
  }
  // The map holds it until its thread has ended, so that the thread is never the last to do so.
  fetching->thread = std::jthread([this, id, fetching] { run(id, fetching); });
  tell(id);
  return shown(id);
}

void ModelLibrary::run(const std::string& id, const std::shared_ptr<Fetching>& fetching) {
  const auto progress = [&](const PullProgress& p) {
    {
      const std::lock_guard lock(mutex_);
      if (p.total > 0) fetching->total = p.total;
      if (p.phase == PullProgress::Phase::kFetching || p.phase == PullProgress::Phase::kDone) fetching->done = p.done;
      fetching->bytes_per_second = p.bytes_per_second;
      fetching->seconds_left = p.seconds_left;
      if (steady_clock::now() - fetching->told < kTellEvery) return;
      fetching->told = steady_clock::now();
    }
    tell(id);
  };
  const auto path =
      places_.store->pull(id, {.access = *places_.hub, .progress = progress, .stop = fetching->stop.get_token()});
  {
    const std::lock_guard lock(mutex_);
    fetching->running = false;
    if (!path && !fetching->stop.stop_requested())
      fetching->error = {kind_of_failure(path.error().message), path.error().message};
  }
  if (path) {
    spdlog::info("fetched {}", id);
    pool_->add({.name = id,
                .also = engine::model_name_of(*path),
                .path = *path,
                .bytes = files::model_bytes(*path),
                .created = std::chrono::duration_cast<std::chrono::seconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count()});
  }
  if (!stop_.stop_requested()) tell(id);
}

AppResult<Json> ModelLibrary::pause(const std::string& id) {
  const std::lock_guard ordered(order_);
  std::shared_ptr<Fetching> fetching;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = fetching_.find(id); at != fetching_.end()) fetching = at->second;
  }
  if (fetching) {
    fetching->stop.request_stop();
    if (fetching->thread.joinable()) fetching->thread.join();
  }
  return shown(id);
}

AppResult<Json> ModelLibrary::cancel(const std::string& id) {
  if (auto paused = pause(id); !paused) return paused;
  const std::lock_guard ordered(order_);
  const auto found = row(id);
  if (!found) return shown(id);
  if (found->here || !places_.store) return to_json(*found);  // it came whole meanwhile
  {
    const std::lock_guard lock(mutex_);
    fetching_.erase(id);
  }
  if (std::error_code ignored; std::filesystem::exists(places_.store->places().models() + "/" + id, ignored)) {
    if (const auto removed = places_.store->remove(id); !removed)
      return std::unexpected(AppError{.status = 409, .code = "model_failed", .message = removed.error().message});
  }
  tell(id);
  return shown(id);
}

}  // namespace fathom::server::app
