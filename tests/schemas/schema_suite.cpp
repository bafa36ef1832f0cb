// schema_suite FOLDER: runs the JSON Schema test suite (a folder of one draft) through the grammars that schemas
// become. A value that the suite calls invalid must not be let through; a schema may be refused, and a valid value may
// be missed where docs/structured_output.md says that answers are narrower. Both are counted, by keyword.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "../unit/tokens/tiny_tokenizer.h"
#include "grammar/compiler.h"

namespace {

using fathom::files::Json;
using fathom::grammar::Compiled;
using fathom::grammar::Compiler;

struct Counts {
  int groups = 0, refused = 0, valid = 0, taken = 0, invalid = 0, leaked = 0;
};

bool takes(const Compiled& grammar, std::string_view text, fathom::tokens::TokenId end) {
  auto matcher = grammar.start();
  for (const char c : text)
    if (!matcher.accept(static_cast<unsigned char>(c))) return false;
  return matcher.accept(end);
}

void run_group(const Json& group, const Compiler& compiler, std::string_view file, Counts& counts) {
  ++counts.groups;
  const auto format = fathom::grammar::json_schema(group["schema"], "schema");
  const auto grammar = format ? compiler.compile(*format, false) : std::unexpected(format.error());
  if (!grammar) {
    ++counts.refused;
    return;
  }
  for (const Json& test : group["tests"]) {
    const bool valid = test["valid"].get<bool>();
    const bool taken = takes(*grammar, test["data"].dump(), 256);
    ++(valid ? counts.valid : counts.invalid);
    if (valid) counts.taken += taken;
    if (valid || !taken) continue;
    ++counts.leaked;
    std::cout << fmt::format("{}: {}: {}: let through {}\n", file, group["description"].get<std::string>(),
                             test["description"].get<std::string>(), test["data"].dump());
  }
}

Json read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return Json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return std::cerr << "schema_suite FOLDER\n", 2;
  const auto tokenizer = fathom::tokens::tiny_tokenizer({.added = {{"<|end|>"}}, .eos = "<|end|>"});
  const fathom::tokens::TokenId end = 256;
  const Compiler compiler(tokenizer, std::span(&end, 1), fathom::tokens::ToolSyntax::kNone);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(words[1]))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::ranges::sort(files);
  Counts all;
  std::cout << fmt::format("{:24} {:>8} {:>8} {:>16} {:>8}\n", "keyword", "schemas", "refused", "valid let through",
                           "invalid");
  for (const auto& path : files) {
    Counts counts;
    for (const Json& group : read(path)) run_group(group, compiler, path.stem().string(), counts);
    std::cout << fmt::format("{:24} {:8} {:8} {:9} of {:4} {:8}\n", path.stem().string(), counts.groups, counts.refused,
                             counts.taken, counts.valid, counts.invalid);
    all.groups += counts.groups, all.refused += counts.refused, all.valid += counts.valid, all.taken += counts.taken;
    all.invalid += counts.invalid, all.leaked += counts.leaked;
  }
  std::cout << fmt::format(
      "{} of {} schemas taken; of their values {} of {} valid ones let through, {} of {} invalid ones\n",
      all.groups - all.refused, all.groups, all.taken, all.valid, all.leaked, all.invalid);
  // A suite that was not found or that is refused whole is no pass.
  const bool ran = all.groups - all.refused >= 100 && all.taken >= 150;
  std::cout << fmt::format("{} passed, {} failed\n", all.invalid - all.leaked, all.leaked + (ran ? 0 : 1));
  return all.leaked == 0 && ran ? 0 : 1;
}
