// mask_cost MODEL.gguf: what a grammar costs at each token with this model's vocabulary: the mask and the state, over
// answers drawn at random among the tokens that are allowed; and what compiling costs, the first time and again. To be
// held against a decode step of the same model (`fathom bench`).
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>

#include "engine/constraint.h"
#include "grammar/compiler.h"

namespace {

using namespace fathom;
using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// Of this thread alone, in milliseconds, so that other work on the machine does not count.
double thread_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

constexpr std::string_view kSchema = R"({"type":"object","properties":{"name":{"type":"string","maxLength":60},
  "born":{"type":"string","format":"date"},"email":{"type":"string","format":"email"},"score":{"type":"number","minimum":0,
  "maximum":100},"tags":{"type":"array","items":{"enum":["red","green","blue"]},"maxItems":8},"parent":{"anyOf":[
  {"$ref":"#"},{"type":"null"}]}},"required":["name","born","email","score","tags","parent"]})";

struct Answer {
  std::vector<double> steps;
  double masking = 0;
};

// Takes up to `most` tokens, any of those that are allowed.
Answer draw(const grammar::Compiled& grammar, std::size_t vocabulary, int most, std::mt19937& random) {
  Answer answer;
  auto matcher = grammar.start();
  std::vector<float> logits(vocabulary);
  for (int i = 0; i < most; ++i) {
    const auto start = thread_time();
    const auto mask = matcher.allowed();
    const auto filled = thread_time();
    std::vector<tokens::TokenId> may;
    for (std::size_t id = 0; id < vocabulary; ++id)
      if ((mask[id / 32] >> (id % 32) & 1) != 0) may.push_back(static_cast<tokens::TokenId>(id));
    if (may.empty()) break;
    const auto before_mask = thread_time();
    engine::keep_allowed(logits, mask);
    const auto masked = thread_time();
    const bool taken = matcher.accept(may[random() % may.size()]);
    const auto end = thread_time();
    FATHOM_CHECK(taken);
    answer.masking += (masked - before_mask);
    answer.steps.push_back((filled - start) + (end - before_mask));
  }
  return answer;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return std::cerr << "mask_cost MODEL.gguf\n", 2;
  const auto file = files::Gguf::open(words[1]);
  if (!file) return std::cerr << file.error().message << "\n", 1;
  const auto tokenizer = tokens::Tokenizer::from_gguf(*file);
  if (!tokenizer) return std::cerr << tokenizer.error().message << "\n", 1;
  const auto vocabulary = static_cast<std::size_t>(tokenizer->vocabulary_size());
  const auto start = Clock::now();
  const grammar::Compiler compiler(*tokenizer, tokenizer->stop_tokens(), tokens::ToolSyntax::kHermes);
  (void)compiler.compile(*grammar::regex("a"), false);
  std::cout << fmt::format("{} tokens; vocabulary read in {:.0f} ms\n", vocabulary, milliseconds(Clock::now() - start));
  const files::Json schema = files::Json::parse(kSchema);
  const std::pair<std::string_view, grammar::Format> formats[] = {
      {"any object", grammar::json_object()},
      {"schema", *grammar::json_schema(schema, "schema")},
      {"regex", *grammar::regex("[a-zA-Z ,.]{20,200}")},
      {"tool call",
       *grammar::tool_calls({.syntax = tokens::ToolSyntax::kHermes, .tools = {{.name = "f", .parameters = schema}}})}};
  std::mt19937 random(7);
  std::vector<double> all;
  for (const auto& [name, format] : formats) {
    const auto before = Clock::now();
    const auto compiled = compiler.compile(format, name == "tool call");
    if (!compiled) return std::cerr << compiled.error().message << "\n", 1;
    const auto first = Clock::now();
    (void)compiler.compile(format, name == "tool call");
    const auto again = Clock::now();
    Answer sum;
    for (int i = 0; i < 20; ++i) {
      const Answer answer = draw(*compiled, vocabulary, 100, random);
      sum.steps.insert(sum.steps.end(), answer.steps.begin(), answer.steps.end());
      sum.masking += answer.masking;
    }
    std::ranges::sort(sum.steps);
    double total = 0;
    for (const double step : sum.steps) total += step;
    const auto n = sum.steps.size();
    std::cout << fmt::format(
        "{:12} compiled in {:7.1f} ms, again {:6.2f} ms; {:5} tokens, mean {:.3f} ms (of it logits {:.3f}), p99 {:.3f} "
        "ms, most {:.3f} ms\n",
        name, milliseconds(first - before), milliseconds(again - first), n, total / static_cast<double>(n),
        sum.masking / static_cast<double>(n), sum.steps[n * 99 / 100], sum.steps.back());
    all.insert(all.end(), sum.steps.begin(), sum.steps.end());
  }
  double total = 0;
  for (const double step : all) total += step;
  std::cout << fmt::format("mean of all: {:.3f} ms a token; a decode step must take {:.1f} ms or more for 5 %\n",
                           total / static_cast<double>(all.size()), total / static_cast<double>(all.size()) * 20);
}
