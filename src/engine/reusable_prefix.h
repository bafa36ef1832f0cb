// Which kept pages a prompt may begin with.
//
// Latent attention computes rows in two forms: expanded in the full cells of a prompt's grid, absorbed in its last cell
// and while decoding (runner.h, in_full_cell). The forms agree within 1e-5, not in every bit. So a page is known by its
// tokens and its form, and the rule is:
//
//   A prompt begins with the longest chain of kept pages that ends in a page which either
//   (a) has the form in which the prompt itself would compute it, as have all before it or all since a page of (b), or
//   (b) holds tokens of an answer: its conversation goes on.
//
// By (a) alone the result equals a fresh prefill bit for bit: full cells serve whoever has them as full cells, the last
// cell of a prompt serves prompts that end in the same cell. By (b) rows written while decoding, and what led to them,
// stay as they are, within 1e-4 of a fresh prefill. Architectures with one form fulfil (a) everywhere.
//
// Behind that chain the page that an earlier run left unfinished is copied, by (a) alone (Scheduler::begin_last_page).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "engine/page_key.h"

namespace fathom::engine {

struct PrefixPage {
  PageKey key;
  bool expanded = false;
  bool end = false;  // the prefix may end here: of a chain that cannot be had whole, a part up to such a page
};

// `expanded`: the form that the prompt would compute each of its pages in. `kept` says whether a page is there, and
// then whether it holds tokens of an answer. At least one token of the prompt is left to compute.
std::vector<PrefixPage> reusable_prefix(
    std::span<const tokens::TokenId> prompt, const PageKey& first, std::int64_t page_tokens,
    std::span<const std::uint8_t> expanded,
    base::FunctionRef<std::optional<bool>(const PageKey& key, std::span<const tokens::TokenId> tokens)> kept);

}  // namespace fathom::engine
