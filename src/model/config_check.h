// The checks that both readers of configurations end with.
#pragma once

#include "model/config.h"

namespace fathom::model {

// The configuration itself if every number is possible; else an error that names the one that is not.
base::Result<Config> checked(Config config);

}  // namespace fathom::model
