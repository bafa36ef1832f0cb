// Values of a JSON object by key, for those who turn Hugging Face's files into GGUF. The first thing that was wrong is
// kept, so that a reader can ask for everything and look once.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "files/json.h"

namespace fathom::weights {

class Fields {
 public:
  Fields(const files::Json& json, std::string name) : json_(json), name_(std::move(name)) {}

  // Null where the key is absent or null.
  const files::Json* find(const char* key) const {
    if (!json_.is_object()) return nullptr;
    const auto it = json_.find(key);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  bool has(const char* key) const { return find(key) != nullptr; }

  std::int64_t integer(const char* key, std::int64_t otherwise) {
    const files::Json* v = find(key);
    if (v == nullptr) return otherwise;
    // Some configurations write whole numbers as floats.
    if (v->is_number() && std::abs(v->get<double>()) < 1e15 && v->get<double>() == std::floor(v->get<double>()))
      return static_cast<std::int64_t>(v->get<double>());
    wrong(key, *v, "an integer");
    return otherwise;
  }
  std::int64_t integer(const char* key) {
    if (!has(key)) refuse(fmt::format("\"{}\" is missing", key));
    return integer(key, 0);
  }
  double number(const char* key, double otherwise) {
    const files::Json* v = find(key);
    if (v == nullptr) return otherwise;
    if (v->is_number()) return v->get<double>();
    wrong(key, *v, "a number");
    return otherwise;
  }
  bool boolean(const char* key, bool otherwise) {
    const files::Json* v = find(key);
    if (v == nullptr) return otherwise;
    if (v->is_boolean()) return v->get<bool>();
    wrong(key, *v, "true or false");
    return otherwise;
  }
  std::string text(const char* key, const char* otherwise = "") {
    const files::Json* v = find(key);
    if (v == nullptr) return otherwise;
    if (v->is_string()) return v->get<std::string>();
    wrong(key, *v, "a string");
    return otherwise;
  }

  void refuse(const std::string& why) {
    if (error_.empty()) error_ = fmt::format("{}: {}", name_, why);
  }
  void take_error(const Fields& other) {
    if (error_.empty()) error_ = other.error_;
  }
  base::Result<void> result() const {
    if (error_.empty()) return {};
    return std::unexpected(base::Error{error_});
  }

 private:
  void wrong(const char* key, const files::Json& v, const char* expected) {
    refuse(fmt::format("\"{}\" is {}, expected {}", key,
                       v.dump(-1, ' ', false, files::Json::error_handler_t::replace).substr(0, 60), expected));
  }

  const files::Json& json_;
  std::string name_;
  std::string error_;
};

}  // namespace fathom::weights
