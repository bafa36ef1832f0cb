#include "engine/recommended.h"

#include <cmath>
#include <filesystem>

#include "files/in_quotes.h"

namespace fathom::engine {

using base::fail;
using base::Result;
using files::Json;

namespace {

// Section 7.5 of DeepSeek's recommendations for R1 and its distills: temperature 0.6, top-p 0.95.
constexpr SamplingOptions kBuiltIn{.temperature = 0.6f, .top_p = 0.95f};

struct Setting {
  const char* json_key;
  const char* gguf_key;
  float low, high;
  void (*set)(SamplingOptions&, float);
};

constexpr Setting kSettings[] = {
    {"temperature", "general.sampling.temp", 0, 100, [](SamplingOptions& s, float v) { s.temperature = v; }},
    {"top_k", "general.sampling.top_k", 0, 1e9f, [](SamplingOptions& s, float v) { s.top_k = static_cast<int>(v); }},
    {"top_p", "general.sampling.top_p", 0, 1, [](SamplingOptions& s, float v) { s.top_p = v; }},
    {"min_p", "general.sampling.min_p", 0, 1, [](SamplingOptions& s, float v) { s.min_p = v; }},
    {"repetition_penalty", "general.sampling.penalty_repeat", 0.01f, 100,
     [](SamplingOptions& s, float v) { s.repetition_penalty = v; }},
};

Result<void> apply(const Setting& setting, const char* key, double value, SamplingOptions& sampling) {
  if (!(value >= setting.low && value <= setting.high))
    return fail("{} is {}, expected {} to {}", key, value, setting.low, setting.high);
  setting.set(sampling, static_cast<float>(value));
  return {};
}

// A value from a file as a message shows it.
std::string shown(const Json& value) {
  return files::in_quotes(value.dump(-1, ' ', false, Json::error_handler_t::replace), 40);
}

Result<void> read_stop_tokens(const Json& ids, std::vector<tokens::TokenId>& out) {
  if (ids.is_number_integer()) {
    const auto id = ids.get<std::int64_t>();
    if (id < 0 || id > 1 << 30) return fail("eos_token_id {} is impossible", id);
    out.push_back(static_cast<tokens::TokenId>(id));
  } else if (ids.is_array()) {
    for (const Json& id : ids) {
      if (!id.is_number_integer()) return fail("eos_token_id holds {}, expected token ids", shown(id));
      if (auto r = read_stop_tokens(id, out); !r) return r;
    }
  } else if (!ids.is_null()) {
    return fail("eos_token_id is {}, expected a token id or an array of them", shown(ids));
  }
  return {};
}

}  // namespace

Result<Recommended> recommended(const weights::Checkpoint& checkpoint) {
  Recommended r{.sampling = kBuiltIn, .source = "built-in defaults"};
  if (const files::Gguf* gguf = checkpoint.gguf()) {
    for (const Setting& setting : kSettings) {
      if (gguf->find(setting.gguf_key) == nullptr) continue;
      const auto value = gguf->number(setting.gguf_key);
      if (!value) return fail("{}: {} is no number", checkpoint.path(), setting.gguf_key);
      if (auto ok = apply(setting, setting.gguf_key, *value, r.sampling); !ok)
        return base::fail_with(checkpoint.path(), ok.error());
      r.source = "the GGUF file";
    }
    return r;
  }
  const std::string path = checkpoint.path() + "/generation_config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return r;
  auto json = files::read_json(path);
  if (!json) return std::unexpected(json.error());
  if (!json->is_object()) return fail("{}: expected a JSON object", path);
  for (const Setting& setting : kSettings) {
    const auto value = json->find(setting.json_key);
    if (value == json->end() || value->is_null()) continue;
    if (!value->is_number()) return fail("{}: {} is {}, expected a number", path, setting.json_key, shown(*value));
    if (auto ok = apply(setting, setting.json_key, value->get<double>(), r.sampling); !ok)
      return base::fail_with(path, ok.error());
    r.source = "generation_config.json";
  }
  if (json->contains("eos_token_id"))
    if (auto ok = read_stop_tokens((*json)["eos_token_id"], r.stop_tokens); !ok)
      return base::fail_with(path, ok.error());
  return r;
}

}  // namespace fathom::engine
