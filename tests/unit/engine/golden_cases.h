// The goldens' checkpoints as cases of a parametrised test, each with the first tokens of its text.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "files/json.h"
#include "tokens/tokenizer.h"

namespace fathom::engine {

struct GoldenCase {
  std::string name, path;
  std::vector<tokens::TokenId> ids;
};

inline void PrintTo(const GoldenCase& c, std::ostream* out) {
  *out << c.name;
}

inline std::vector<GoldenCase> golden_cases(std::size_t most_tokens) {
  const std::string data = std::string(FATHOM_SOURCE_DIR) + "/tests/golden/data/";
  std::vector<GoldenCase> all;
  const auto json = files::read_json(data + "cases.json");
  if (!json) return all;
  for (const auto& c : *json) {
    GoldenCase one{c["name"], data + std::string(c["path"]), {}};
    std::ifstream in(data + std::string(c["tokens"]));
    for (tokens::TokenId id; one.ids.size() < most_tokens && in >> id;) one.ids.push_back(id);
    all.push_back(std::move(one));
  }
  return all;
}

inline std::string golden_test_name(const testing::TestParamInfo<GoldenCase>& golden) {
  std::string name = golden.param.name;
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace fathom::engine
