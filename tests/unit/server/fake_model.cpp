#include "fake_model.h"

namespace fathom::server {

namespace {

using files::Json;

// GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on.
std::string alphabet_character(int byte, int& next) {
  const bool printable =
      (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  const int code = printable ? byte : next++;
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

constexpr const char* kTemplate =
    "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% if enable_thinking is defined and enable_thinking %}<think>{% endif "
    "%}{% endif %}";

tokens::ChatTemplate fake_template() {
  auto result = tokens::ChatTemplate::from_jinja(kTemplate, "", "<|end|>");
  if (!result) base::check_failed(result.error().message.c_str(), __FILE__, __LINE__);
  return std::move(*result);
}

}  // namespace

tokens::Tokenizer byte_tokenizer(const std::vector<std::string>& further) {
  Json vocabulary = Json::object();
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) vocabulary[alphabet_character(byte, next)] = byte;
  const auto added = [](const char* text, int id) {
    return Json{{"id", id}, {"content", text}, {"special", true}, {"normalized", false}};
  };
  Json control = Json::array({added("<|end|>", kEnd), added("<think>", kThink), added("</think>", kEndThink)});
  for (const std::string& text : further)
    control.push_back(added(text.c_str(), kEnd + static_cast<int>(control.size())));
  const Json file = {{"model", {{"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", Json::array()}}},
                     {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
                     {"added_tokens", std::move(control)}};
  auto result = tokens::Tokenizer::from_json(file.dump(), R"({"eos_token":"<|end|>"})");
  if (!result) base::check_failed(result.error().message.c_str(), __FILE__, __LINE__);
  return std::move(*result);
}

FakeEngine::~FakeEngine() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

base::Result<engine::RunId> FakeEngine::submit(engine::Run asked, engine::TokenSink sink) {
  const std::lock_guard lock(mutex_);
  if (asked.prompt.empty()) return base::fail("the prompt is empty");
  if (full) return base::fail("the queue is full: 0 of 0 places are free");
  if (static_cast<int>(asked.prompt.size()) >= context_) return base::fail("the prompt does not fit the context");
  const engine::RunId id = runs_.size();
  const auto run = runs_.emplace_back(std::make_shared<engine::Run>(std::move(asked)));
  cancel_asked_.push_back(false);
  ++running_;
  threads_.emplace_back([this, id, run, sink = std::move(sink)](std::stop_token stop) {
    const bool finished = play(stop, id, *run, sink);
    const std::lock_guard inner(mutex_);
    --running_;
    if (!finished) ++cancelled_;
    changed_.notify_all();
  });
  return id;
}

void FakeEngine::cancel(engine::RunId id) {
  const std::lock_guard lock(mutex_);
  cancel_asked_[id] = true;
  changed_.notify_all();
}

// False when the run ends here.
bool FakeEngine::pause(std::stop_token stop, engine::RunId id, std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, stop, time, [&] { return cancel_asked_[id]; }) && !stop.stop_requested();
}

// False when it was cancelled.
bool FakeEngine::play(std::stop_token stop, engine::RunId id, const engine::Run& run, const engine::TokenSink& sink) {
  engine::RunStatistics statistics{.prompt_tokens = static_cast<int>(run.prompt.size()), .cached_tokens = 3};
  if (!pause(stop, id, prefill)) {
    sink({.finish = engine::FinishReason::kCancelled}, statistics);
    return false;
  }
  for (const tokens::TokenId token : says) {
    ++statistics.generated_tokens;
    engine::TokenEvent event{.token = token, .logprob = -0.5f};
    for (int i = 0; i < run.sampling.top_logprobs; ++i) event.top.push_back({token + i, -0.5f - static_cast<float>(i)});
    if (statistics.generated_tokens == run.max_tokens) event.finish = engine::FinishReason::kLength;
    if (!sink(event, statistics) || event.finish != engine::FinishReason::kNone) return true;
    if (!pause(stop, id, step)) {
      sink({.finish = engine::FinishReason::kCancelled}, statistics);
      return false;
    }
  }
  if (!fails_with.empty()) {
    sink({.finish = engine::FinishReason::kFailed, .error = fails_with}, statistics);
    return true;
  }
  ++statistics.generated_tokens;
  sink({.token = kEnd, .finish = engine::FinishReason::kStop}, statistics);
  return true;
}

std::vector<std::shared_ptr<const engine::Run>> FakeEngine::runs() {
  const std::lock_guard lock(mutex_);
  return {runs_.begin(), runs_.end()};
}

int FakeEngine::cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

int FakeEngine::running() {
  const std::lock_guard lock(mutex_);
  return running_;
}

bool FakeEngine::wait_for_cancelled(int count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(5), [&] { return cancelled_ >= count; });
}

FakeModel::FakeModel(std::string name, int context, const std::vector<std::string>& further)
    : name_(std::move(name)), tokenizer_(byte_tokenizer(further)), template_(fake_template()), engine_(context) {
  say("Hello!");
}

void FakeModel::say(std::string_view text) {
  engine_.says = tokenizer_.encode(text, true);
}

}  // namespace fathom::server
