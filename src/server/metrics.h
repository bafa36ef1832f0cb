// What /metrics tells, in Prometheus' text: requests as they end, and what engines, caches and the process say of
// themselves at the moment. Names begin with fathom_, but for those that every program has (process_).
#pragma once

#include <memory>
#include <span>
#include <string>

#include "engine/disk_cache.h"
#include "engine/loaded_model.h"
#include "server/request_record.h"

namespace fathom::server {

class Metrics {
 public:
  // `disk`: the cache on disk, nullptr where there is none.
  explicit Metrics(std::shared_ptr<const engine::DiskCache> disk);
  ~Metrics();

  void ended(const RequestRecord& record);
  void connections(std::size_t open);
  void streams(int change);  // answers that are being sent

  std::string text(std::span<const std::shared_ptr<engine::LoadedModel>> models) const;

 private:
  struct Counts;
  std::shared_ptr<const engine::DiskCache> disk_;
  std::unique_ptr<Counts> counts_;
};

}  // namespace fathom::server
