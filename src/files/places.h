// Where models lie on this machine: the program's own data folder, and those of other programs that may hold a model
// already. Paths only; what is in them is for local_models.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace fathom::files {

struct Places {
  std::string data;                    // $XDG_DATA_HOME/fathom
  std::string hugging_face;            // HF_HUB_CACHE, HF_HOME/hub
  std::string ollama;                  // OLLAMA_MODELS
  std::vector<std::string> lm_studio;  // its folders of today and of before

  std::string models() const { return data + "/models"; }

  // Errors: neither XDG_DATA_HOME nor HOME is set.
  static base::Result<Places> from_environment();
};

}  // namespace fathom::files
