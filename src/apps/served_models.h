// Which models a server is given, and how its pool comes to them: names and paths here, engines behind.
#pragma once

#include "apps/commands.h"
#include "engine/disk_cache.h"
#include "server/model_pool.h"

namespace fathom::apps {

// Those of the command line, which stay loaded, then those of the configuration; where neither names one, the default
// model and whatever else the store holds. Errors: a model that is not here, two of one name.
base::Result<std::vector<server::ModelSource>> served_models(const ServeFlags& flags);

// By which requests ask for a model that was given no name.
std::string served_name(const std::string& model, const std::string& path);

// Errors: a draft that is not here.
base::Result<server::ModelPool::Options> pool_options(const ServeFlags& flags, std::shared_ptr<engine::DiskCache> disk);

// What is known of a model's files without loading them.
base::Result<server::ModelFacts> look_at(const std::string& path, const engine::LoadOptions& options);

}  // namespace fathom::apps
