// logits and perplexity: what the model thinks of a given text.
#include <chrono>
#include <cmath>
#include <cstring>

#include "apps/commands.h"
#include "engine/sampler.h"
#include "engine/score.h"
#include "files/safetensors.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

Result<std::unique_ptr<engine::Runner>> open_runner(const ModelFlags& flags) {
  auto path = resolve_model(flags.model);
  if (!path) return std::unexpected(path.error());
  auto runner = engine::Runner::load(*path, load_options(flags));
  if (runner) say_context(flags, (*runner)->context());
  return runner;
}

base::Tensor matrix(const std::vector<float>& values, std::int64_t columns) {
  return {.dtype = base::DType::kF32,
          .rank = 2,
          .shape = {static_cast<std::int64_t>(values.size()) / columns, columns},
          .data = reinterpret_cast<const std::byte*>(values.data())};
}

}  // namespace

Status logits(const LogitsFlags& flags) {
  auto text = read_text(flags.tokens_file);
  if (!text) return std::unexpected(text.error());
  auto ids = parse_ids(*text, flags.tokens_file);
  if (!ids) return std::unexpected(ids.error());
  auto runner = open_runner(flags);
  if (!runner) return std::unexpected(runner.error());
  std::vector<float> rows, mtp_rows;
  engine::ScoreSinks sinks{
      .logits = [&](std::int64_t, std::span<const float> row) { rows.insert(rows.end(), row.begin(), row.end()); }};
  if (flags.mtp)
    sinks.mtp_logits = [&](std::int64_t, std::span<const float> row) {
      mtp_rows.insert(mtp_rows.end(), row.begin(), row.end());
    };
  if (auto scored = engine::score(**runner, *ids, sinks); !scored) return std::unexpected(scored.error());
  const std::int64_t vocabulary = (*runner)->model().config().vocabulary;
  std::vector<files::SafetensorsTensor> tensors{{"logits", matrix(rows, vocabulary)}};
  if (flags.mtp) tensors.push_back({"mtp_logits", matrix(mtp_rows, vocabulary)});
  return files::write_safetensors(flags.out, tensors);
}

Status perplexity(const PerplexityFlags& flags) {
  auto text = read_text(flags.file);
  if (!text) return std::unexpected(text.error());
  auto runner = open_runner(flags);
  if (!runner) return std::unexpected(runner.error());
  auto tokenizer = engine::load_tokenizer((*runner)->checkpoint().path());
  if (!tokenizer) return std::unexpected(tokenizer.error());
  std::vector<tokens::TokenId> ids = tokenizer->encode(*text, false);
  if (tokenizer->adds_bos() && tokenizer->bos()) ids.insert(ids.begin(), *tokenizer->bos());
  if (ids.size() < 2) return fail("{}: {} tokens are too few, expected at least 2", flags.file, ids.size());
  // A text longer than the context is read in windows of it, each on its own.
  const auto window = static_cast<std::size_t>((*runner)->context());
  double sum = 0;
  std::size_t scored = 0;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t first = 0; first + 1 < ids.size(); first += window) {
    const auto part = std::span(ids).subspan(first, std::min(window, ids.size() - first));
    auto done = engine::score(**runner, part, {.logits = [&](std::int64_t t, std::span<const float> row) {
      const auto next = static_cast<std::size_t>(t) + 1;
      if (next >= part.size()) return;
      sum -= engine::log_probability(row, part[next]);
      ++scored;
    }});
    if (!done) return std::unexpected(done.error());
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!std::isfinite(sum))
    return fail("{}: the model computes no number for this text: its file is damaged, or not what it says",
                (*runner)->name());
  const double mean = sum / static_cast<double>(scored), rate = static_cast<double>(ids.size()) / seconds;
  if (flags.json) {
    fmt::print(
        "{{\"tokens\": {}, \"scored\": {}, \"nll\": {:.6f}, \"perplexity\": {:.6f}, \"tokens_per_second\": {:.1f}}}\n",
        ids.size(), scored, mean, std::exp(mean), rate);
  } else {
    fmt::print(
        "tokens               {}\nmean neg. log-lik.   {:.6f}\nperplexity           {:.4f}\ntokens per second    "
        "{:.1f}\n",
        ids.size(), mean, std::exp(mean), rate);
  }
  return {};
}

}  // namespace fathom::apps
