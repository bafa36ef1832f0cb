#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace fathom::engine {

using tokens::TokenId;

namespace {

std::uint64_t drawn_seed() {
  std::random_device source;
  return std::uint64_t{source()} << 32 | source();
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, std::int64_t vocabulary, std::span<const TokenId> prompt)
    : options_(options), state_(options.seed == 0 ? drawn_seed() : options.seed) {
  const auto size = static_cast<std::size_t>(vocabulary);
  candidates_.reserve(size);
  if (options_.repetition_penalty != 1.0f) {
    is_seen_.assign(size, 0);
    seen_.reserve(size);
    for (const TokenId id : prompt)
      if (!std::exchange(is_seen_[static_cast<std::size_t>(id)], 1)) seen_.push_back(id);
  }
  if (options_.frequency_penalty != 0 || options_.presence_penalty != 0) answer_counts_.assign(size, 0);
}

void Sampler::accept(TokenId token) {
  const auto id = static_cast<std::size_t>(token);
  if (!is_seen_.empty() && !std::exchange(is_seen_[id], 1)) seen_.push_back(token);
  if (!answer_counts_.empty()) ++answer_counts_[id];
}

void Sampler::penalise(std::span<float> logits) const {
  for (const auto& [id, bias] : options_.logit_bias)
    if (static_cast<std::size_t>(id) < logits.size()) logits[static_cast<std::size_t>(id)] += bias;
  // CTRL (Keskar et al. 2019): divide what favours the token, multiply what speaks against it.
  for (const TokenId id : seen_) {
    float& l = logits[static_cast<std::size_t>(id)];
    l = l > 0 ? l / options_.repetition_penalty : l * options_.repetition_penalty;
  }
  for (std::size_t id = 0; id < answer_counts_.size(); ++id)
    if (answer_counts_[id] > 0)
      logits[id] -= static_cast<float>(answer_counts_[id]) * options_.frequency_penalty + options_.presence_penalty;
}

// SplitMix64: the same seed gives the same numbers on every machine.
double Sampler::next_uniform() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

TokenId Sampler::sample(std::span<float> logits) {
  penalise(logits);
  const auto highest = std::ranges::max_element(logits);
  if (options_.temperature <= 0) return static_cast<TokenId>(highest - logits.begin());

  const float top = *highest, inverse = 1.0f / options_.temperature;
  candidates_.clear();
  double total = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const float weight = std::exp((logits[id] - top) * inverse);
    if (!(weight > 0)) continue;
    candidates_.push_back({weight, static_cast<TokenId>(id)});
  }
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  if (options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(), likelier);
    candidates_.resize(static_cast<std::size_t>(options_.top_k));
  }
  for (const Candidate& c : candidates_) total += c.logit;
  if (options_.top_p < 1) {
    // The likeliest come off a heap until their mass is reached: far fewer than all are ever sorted.
    const auto worse = [&](const Candidate& a, const Candidate& b) { return likelier(b, a); };
    std::ranges::make_heap(candidates_, worse);
    auto end = candidates_.end();
    double mass = 0;
    while (end != candidates_.begin() && mass < options_.top_p * total) {
      std::pop_heap(candidates_.begin(), end, worse);
      mass += (--end)->logit;
    }
    candidates_.erase(candidates_.begin(), end);
    total = mass;
  }
  if (options_.min_p > 0) {  // the likeliest has weight 1
    std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < options_.min_p; });
    total = 0;
    for (const Candidate& c : candidates_) total += c.logit;
  }
  double left = next_uniform() * total;
  for (const Candidate& c : candidates_) {
    left -= c.logit;
    if (left < 0) return c.id;
  }
  return candidates_.empty() ? static_cast<TokenId>(highest - logits.begin()) : candidates_.back().id;
}

namespace {

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l - top));
  return top + std::log(sum);
}

}  // namespace

float log_probability(std::span<const float> logits, TokenId token) {
  return static_cast<float>(logits[static_cast<std::size_t>(token)] - log_sum_exp(logits));
}

std::vector<std::pair<TokenId, float>> top_log_probabilities(std::span<const float> logits, int n) {
  std::vector<TokenId> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<TokenId>(i);
  const auto count = std::min<std::ptrdiff_t>(n, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](TokenId a, TokenId b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  });
  const double norm = log_sum_exp(logits);
  std::vector<std::pair<TokenId, float>> top;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const TokenId id = order[static_cast<std::size_t>(i)];
    top.emplace_back(id, static_cast<float>(logits[static_cast<std::size_t>(id)] - norm));
  }
  return top;
}

}  // namespace fathom::engine
