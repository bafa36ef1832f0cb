// What a person can set in a chat, by name: how tokens are chosen, how long answers may be, whether the model thinks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/sampling.h"
#include "files/json.h"

namespace fathom::apps {

class ChatSettings {
 public:
  explicit ChatSettings(engine::SamplingOptions defaults) : defaults_(defaults), sampling_(std::move(defaults)) {}

  // "temperature", "0.7"; the value "default" takes the model's own. Errors: no such setting, a value out of its range.
  base::Result<void> set(std::string_view name, std::string_view value);
  base::Result<std::string> value(std::string_view name) const;
  static std::vector<std::string_view> names();
  // One row a setting: name, value, what it does.
  std::vector<std::string> rows() const;

  files::Json to_json() const;
  // Errors as `set`, and a value that is neither number, true, false nor null; then nothing is changed.
  base::Result<void> from_json(const files::Json& json);

  // Fresh random numbers for each answer, unless a seed is set: then `attempt` numbers the answers to one question.
  engine::SamplingOptions sampling(int attempt) const;

  engine::SamplingOptions& mutable_sampling() { return sampling_; }
  std::optional<std::uint64_t> seed;
  std::optional<bool> thinking;
  int max_tokens = -1;

 private:
  struct Setting;
  static const Setting* find(std::string_view name);
  static const Setting kSettings[];

  engine::SamplingOptions defaults_, sampling_;
};

}  // namespace fathom::apps
