// What a tokenizer does to text before cutting it: nothing, or Unicode's composed form (NFC, and NFD/NFKC/NFKD where a
// file asks for them).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fathom::tokens {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

class Normalizer {
 public:
  void add(NormalForm form) { forms_.push_back(form); }
  bool empty() const { return forms_.empty(); }
  // The text must be valid UTF-8.
  std::string apply(std::string_view text) const;

 private:
  std::vector<NormalForm> forms_;
};

}  // namespace fathom::tokens
