#include "engine/speculation.h"

#include <algorithm>

namespace fathom::engine {

using tokens::TokenId;

namespace {

// So many tokens must agree before what followed them is worth a guess.
constexpr std::size_t kAgreeing = 3;
// Further back than this nothing is looked for: the search must cost nothing beside a step.
constexpr std::size_t kFarthest = 32768;
// Where drafts do not pay, one in so many steps makes some all the same: texts and machines change.
constexpr std::uint64_t kTryAgain = 64;
constexpr std::size_t kTried = 2;

}  // namespace

void look_up(std::span<const TokenId> ids, std::size_t most, std::vector<TokenId>& out) {
  out.clear();
  if (most == 0 || ids.size() <= kAgreeing) return;
  const auto last = ids.last(kAgreeing);
  const std::size_t first = ids.size() > kFarthest ? ids.size() - kFarthest : 0;
  for (std::size_t at = ids.size() - kAgreeing; at-- > first;) {
    if (!std::equal(last.begin(), last.end(), ids.begin() + static_cast<std::ptrdiff_t>(at))) continue;
    const auto follows = ids.subspan(at + kAgreeing);
    out.assign(follows.begin(), follows.begin() + static_cast<std::ptrdiff_t>(std::min(most, follows.size())));
    return;
  }
}

void guess(std::span<const TokenId> ids, TokenId own, std::size_t most, std::vector<TokenId>& out) {
  look_up(ids, most, out);
  if (own >= 0 && most > 0 && (out.empty() || out[0] != own)) out.assign(1, own);
}

std::size_t DraftCost::worth(double share, std::size_t streams) const {
  if (streams == 0 || streams != streams_) return 0;  // a plain step is to be measured first
  if (!row_known_ || steps_ % kTryAgain == 0) return kTried;
  // A step of n tokens in t seconds gains by one more row where the chance that its token is used, times t, is more
  // than n times what the row costs.
  std::size_t count = 0;
  double chance = share, tokens = static_cast<double>(streams), seconds = plain_seconds_;
  while (count < Drafts::kMost && chance * seconds > tokens * row_seconds_) {
    tokens += chance;
    seconds += row_seconds_;
    chance *= share;
    ++count;
  }
  return count;
}

void DraftCost::record(double seconds, std::size_t streams, std::size_t drafts) {
  ++steps_;
  if (drafts == 0) {
    plain_seconds_ = streams == streams_ ? plain_seconds_ + (seconds - plain_seconds_) / 4 : seconds;
    streams_ = streams;
    return;
  }
  if (streams != streams_) return;
  const double row = std::max(0.0, seconds - plain_seconds_) / static_cast<double>(drafts);
  row_seconds_ = row_known_ ? row_seconds_ + (row - row_seconds_) / 4 : row;
  row_known_ = true;
}

}  // namespace fathom::engine
