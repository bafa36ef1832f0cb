// One row an architecture: how its model is made.
#pragma once

#include <memory>

#include "model/model.h"

namespace fathom::model {

std::unique_ptr<Model> make_llama(Config config);
std::unique_ptr<Model> make_qwen2(Config config);
std::unique_ptr<Model> make_qwen3(Config config);
std::unique_ptr<Model> make_deepseek(Config config);
std::unique_ptr<Model> make_deepseek_v2(Config config);
std::unique_ptr<Model> make_deepseek_v3(Config config);

}  // namespace fathom::model
