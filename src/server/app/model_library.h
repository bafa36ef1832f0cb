// The models that a person can choose from: those of the pool, others that lie on this machine, those that the
// catalogue names; and the downloads under way. Everything may be called from any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "files/model_store.h"
#include "server/app/call.h"
#include "server/model_pool.h"

namespace fathom::server::app {

// Where models come from besides the pool; without a store, from nowhere.
struct ModelPlaces {
  std::optional<files::ModelStore> store;
  std::optional<files::HubAccess> hub;  // none: nothing is fetched
};

class ModelLibrary {
 public:
  // `tell` is given a model (the contract's) whenever one changed, at most four times a second while it is fetched.
  ModelLibrary(std::shared_ptr<ModelPool> pool, ModelPlaces places, std::function<void(Json)> tell);
  ~ModelLibrary();  // what is being fetched goes on from there the next time

  Json list() const;  // loaded ones first, then those on this machine, then those of the catalogue
  bool can_fetch() const { return places_.store && places_.hub; }
  // "reachable", "unreachable", or "unknown" while it is being found out, which only `probe` begins.
  std::string hub_state(bool probe);

  // All give the model as it is now. Errors: 404 no such model; 409 it cannot be loaded or fetched.
  AppResult<Json> load(const std::string& id);
  AppResult<Json> fetch(const std::string& id);  // or go on fetching
  AppResult<Json> pause(const std::string& id);
  AppResult<Json> cancel(const std::string& id);  // and remove what came

 private:
  struct Fetching;
  struct Row;

  std::vector<Row> rows() const;
  std::optional<Row> row(const std::string& id) const;
  Json to_json(const Row& row) const;
  AppResult<Json> shown(const std::string& id) const;
  void tell(const std::string& id);
  void run(const std::string& id, const std::shared_ptr<Fetching>& fetching);
  std::string fits(std::uint64_t memory) const;

  const std::shared_ptr<ModelPool> pool_;
  const ModelPlaces places_;
  const std::function<void(Json)> tell_;
  std::mutex order_;                                           // of starting and ending downloads
  mutable std::mutex mutex_;                                   // of what follows
  std::map<std::string, std::shared_ptr<Fetching>> fetching_;  // by id
  std::string hub_state_ = "unknown";
  bool probing_ = false;
  std::stop_source stop_;
  std::jthread probe_;
};

}  // namespace fathom::server::app
