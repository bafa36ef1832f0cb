#include "apps/chat_settings.h"

#include <algorithm>
#include <charconv>

namespace fathom::apps {

using base::fail;
using base::Result;
using engine::SamplingOptions;

// A setting that is a number of the sampler; seed, max_tokens and thinking have none and are told by their names.
struct ChatSettings::Setting {
  std::string_view name;
  double low, high;
  std::string_view about;
  float SamplingOptions::* number = nullptr;
  int SamplingOptions::* whole = nullptr;
};

const ChatSettings::Setting ChatSettings::kSettings[] = {
    {"temperature", 0, 100, "0 takes the likeliest token", &SamplingOptions::temperature},
    {"top_p", 0, 1, "sample from the likeliest that together have this probability", &SamplingOptions::top_p},
    {"top_k", 0, 1e9, "sample from the k likeliest; 0: all", nullptr, &SamplingOptions::top_k},
    {"min_p", 0, 1, "least probability relative to the likeliest", &SamplingOptions::min_p},
    {"repetition_penalty", 0.01, 100, "1: off", &SamplingOptions::repetition_penalty},
    {"frequency_penalty", -2, 2, "0: off", &SamplingOptions::frequency_penalty},
    {"presence_penalty", -2, 2, "0: off", &SamplingOptions::presence_penalty},
    {"seed", 0, 0x1p53, "the same seed gives the same answers; default: random"},
    {"max_tokens", 1, 1 << 30, "tokens of an answer at most; default: what the context holds"},
    {"thinking", 0, 0, "true, false, or default: as the model's template says"},
};

const ChatSettings::Setting* ChatSettings::find(std::string_view name) {
  if (name == "temp") name = "temperature";
  for (const Setting& s : kSettings)
    if (s.name == name) return &s;
  return nullptr;
}

std::vector<std::string_view> ChatSettings::names() {
  std::vector<std::string_view> all;
  for (const Setting& s : kSettings) all.push_back(s.name);
  return all;
}

Result<void> ChatSettings::set(std::string_view name, std::string_view text) {
  const Setting* s = find(name);
  if (s == nullptr) return fail("there is no setting \"{}\" (/set lists them)", name);
  const bool otherwise = text == "default";
  if (s->name == "thinking") {
    if (!otherwise && text != "true" && text != "false")
      return fail("thinking is \"{}\", expected true, false or default", text);
    thinking = otherwise ? std::nullopt : std::optional(text == "true");
    return {};
  }
  double number = 0;
  if (!otherwise) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = s->number == nullptr;
    const bool fits = error == std::errc{} && end == text.data() + text.size() && number >= s->low && number <= s->high;
    if (!fits || (whole && number != static_cast<double>(static_cast<std::int64_t>(number))))
      return fail("{} is \"{}\", expected a {}number from {} to {}, or default", s->name, text, whole ? "whole " : "",
                  s->low, s->high);
  }
  if (s->number != nullptr) {
    sampling_.*s->number = otherwise ? defaults_.*s->number : static_cast<float>(number);
  } else if (s->whole != nullptr) {
    sampling_.*s->whole = otherwise ? defaults_.*s->whole : static_cast<int>(number);
  } else if (s->name == "seed") {
    seed = otherwise ? std::nullopt : std::optional(static_cast<std::uint64_t>(number));
  } else {
    max_tokens = otherwise ? -1 : static_cast<int>(number);
  }
  return {};
}

Result<std::string> ChatSettings::value(std::string_view name) const {
  const Setting* s = find(name);
  if (s == nullptr) return fail("there is no setting \"{}\" (/set lists them)", name);
  if (s->number != nullptr) return fmt::format("{}", sampling_.*s->number);
  if (s->whole != nullptr) return fmt::format("{}", sampling_.*s->whole);
  if (s->name == "seed") return seed ? fmt::format("{}", *seed) : "default";
  if (s->name == "max_tokens") return max_tokens > 0 ? fmt::format("{}", max_tokens) : "default";
  return !thinking ? "default" : *thinking ? "true" : "false";
}

std::vector<std::string> ChatSettings::rows() const {
  std::vector<std::string> rows;
  for (const Setting& s : kSettings) rows.push_back(fmt::format("{:20} {:10} {}", s.name, *value(s.name), s.about));
  return rows;
}

files::Json ChatSettings::to_json() const {
  files::Json json = files::Json::object();
  for (const Setting& s : kSettings) {
    const std::string text = *value(s.name);
    // Written as a person would: 0.6, not the float's nearest double.
    json[std::string(s.name)] = text == "default" ? files::Json() : files::Json::parse(text, nullptr, false);
  }
  return json;
}

Result<void> ChatSettings::from_json(const files::Json& json) {
  if (!json.is_object()) return fail("settings: expected an object");
  ChatSettings read = *this;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_number() && !value.is_boolean() && !value.is_null())
      return fail("settings: {} is {}, expected a number, true, false or null", name, value.type_name());
    if (auto set = read.set(name, value.is_null() ? "default" : value.dump()); !set)
      return base::fail_with("settings", set.error());
  }
  *this = std::move(read);
  return {};
}

SamplingOptions ChatSettings::sampling(int attempt) const {
  SamplingOptions sampling = sampling_;
  sampling.seed = seed ? engine::chosen_seed(*seed + static_cast<std::uint64_t>(attempt)) : 0;
  return sampling;
}

}  // namespace fathom::apps
