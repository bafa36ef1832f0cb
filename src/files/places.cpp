#include "files/places.h"

#include <cstdlib>

namespace fathom::files {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

base::Result<Places> Places::from_environment() {
  const std::string home = variable("HOME");
  // The XDG rule: a path that is not absolute is as if it were not set.
  const auto folder = [&](const char* name, const std::string& below_home) {
    const std::string value = variable(name);
    if (value.starts_with('/')) return value;
    return home.empty() ? std::string() : home + below_home;
  };
  Places places;
  const std::string data = folder("XDG_DATA_HOME", "/.local/share");
  if (data.empty()) return base::fail("neither XDG_DATA_HOME nor HOME is set: set one, so that models have a folder");
  places.data = data + "/fathom";

  places.hugging_face = variable("HF_HUB_CACHE");
  if (places.hugging_face.empty()) {
    const std::string hf_home = variable("HF_HOME");
    const std::string cache = folder("XDG_CACHE_HOME", "/.cache");
    if (!hf_home.empty()) places.hugging_face = hf_home + "/hub";
    if (hf_home.empty() && !cache.empty()) places.hugging_face = cache + "/huggingface/hub";
  }
  places.ollama = variable("OLLAMA_MODELS");
  if (places.ollama.empty() && !home.empty()) places.ollama = home + "/.ollama/models";
  if (!home.empty()) places.lm_studio = {home + "/.lmstudio/models", home + "/.cache/lm-studio/models"};
  return places;
}

}  // namespace fathom::files
