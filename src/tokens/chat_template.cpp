// Which format a tokenizer calls for. A native encoder is taken where the file's own template writes the same plain
// chats, or where there is no template; so a file with a changed template gets what its author wrote. Requests with
// tools go to the file's own template wherever that says anything of tools.
#include "tokens/chat_template.h"

#include <algorithm>

#include "tokens/chat_format.h"

namespace fathom::tokens {

struct ChatTemplate::Impl {
  std::unique_ptr<ChatFormat> format;
  std::unique_ptr<ChatFormat> with_tools;  // the file's own template, where it writes tools and `format` is native
};

namespace {

std::string token_text(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.bytes(*id)) : std::string();
}

// The formats that a tokenizer's control tokens can write, the likeliest first.
std::vector<std::unique_ptr<ChatFormat>> native_formats(const Tokenizer& tokenizer, const FormatTokens& tokens) {
  const auto has = [&](std::string_view name) { return tokenizer.find(name).has_value(); };
  std::vector<std::unique_ptr<ChatFormat>> formats;
  if (has("<｜User｜>") && has("<｜Assistant｜>")) {
    // V3.1 brought the search tokens. V3.2 and V4 write plain chats as it does.
    if (has("<｜search▁begin｜>")) formats.push_back(make_deepseek_v31(tokens));
    if (has("<think>")) formats.push_back(make_deepseek_r1(tokens));
    formats.push_back(make_deepseek_v3(tokens));
    if (!has("<｜search▁begin｜>")) formats.push_back(make_deepseek_v31(tokens));
  }
  if (has("<|EOT|>")) formats.push_back(make_deepseek_coder(tokens));
  if (tokens.bos == "<｜begin▁of▁sentence｜>") formats.push_back(make_deepseek_v2(tokens));
  if (has("<|im_start|>") && has("<|im_end|>")) formats.push_back(make_chatml(tokens));
  if (has("<|start_header_id|>") && has("<|eot_id|>")) formats.push_back(make_llama3(tokens));
  return formats;
}

Message message(std::string role, std::string content) {
  Message m;
  m.role = std::move(role);
  m.content = std::move(content);
  return m;
}

struct Probe {
  std::vector<Message> messages;
  RenderOptions options;
};

// Plain chats that tell the formats apart: with and without a system line, with thoughts left in an answer, thinking or
// not, open and closed.
std::vector<Probe> probes() {
  const Message system = message("system", "Be brief.");
  const Message user = message("user", "One plus one?");
  const Message answer = message("assistant", "a</think>b</think>\n\nTwo.");
  std::vector<Probe> out;
  out.push_back({{user}, {}});
  out.push_back({{system, user}, {}});
  out.push_back({{system, user, answer, user}, {}});
  out.push_back({{user, answer, user, answer}, {.generation_prompt = false}});
  out.push_back({{user}, {.thinking = true}});
  return out;
}

std::string text_or_empty(const base::Result<Prompt>& prompt) {
  return prompt ? prompt_text(*prompt) : std::string();
}

bool ends_with_opening(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text.ends_with("<think>");
}

// R1's first template ends a prompt before the thought; the one of February 2025 opens it, because the model else may
// answer without thinking. Files with the old one are meant too.
bool writes_the_same(const ChatFormat& native, const ChatFormat& own) {
  for (const Probe& probe : probes()) {
    const std::string expected = text_or_empty(own.render(probe.messages, probe.options));
    std::string written = text_or_empty(native.render(probe.messages, probe.options));
    if (expected.empty()) return false;
    if (native.name() == "deepseek-r1" && !ends_with_opening(expected) && ends_with_opening(written)) {
      written.resize(written.size() - std::string_view("<think>\n").size());
    }
    if (written != expected) return false;
  }
  return true;
}

// Whether the file's template says anything of tools. Where it does, its author's words count, not the encoder's.
bool writes_tools(std::string_view text, const ChatFormat& own) {
  if (text.find("tools") == text.npos) return false;
  const std::vector<Message> messages = {message("system", "Be brief."), message("user", "One plus one?")};
  RenderOptions with;
  with.tools.push_back({{"type", "function"},
                        {"function",
                         {{"name", "add"},
                          {"description", "Adds."},
                          {"parameters", {{"type", "object"}, {"properties", files::Json::object()}}}}}});
  return text_or_empty(own.render(messages, with)) != text_or_empty(own.render(messages, {}));
}

// Whether a request has to do with tools: those that it offers, or calls and results of an earlier turn.
bool has_tools(const std::vector<Message>& messages, const RenderOptions& options) {
  return !options.tools.empty() ||
         std::ranges::any_of(messages, [](const Message& m) { return !m.tool_calls.empty() || m.role == "tool"; });
}

bool opens_thinking(const Prompt& prompt) {
  // A prompt that ends in a begun thought ends with what the caller wrote of it, behind the format's <think>.
  std::string_view fixed;
  for (const PromptPiece& piece : prompt) {
    if (piece.trusted) fixed = piece.text;
  }
  return ends_with_opening(fixed);
}

class NoFormat final : public ChatFormat {
 public:
  explicit NoFormat(std::string why) : why_(std::move(why)) {}
  std::string_view name() const override { return "none"; }
  bool can_think() const override { return false; }
  base::Result<Prompt> render(const std::vector<Message>&, const RenderOptions&) const override {
    return base::fail("this model cannot chat, only continue a text: {}", why_);
  }

 private:
  std::string why_;
};

}  // namespace

ChatTemplate ChatTemplate::none(std::string why) {
  auto impl = std::make_unique<Impl>();
  impl->format = std::make_unique<NoFormat>(std::move(why));
  return ChatTemplate(std::move(impl));
}

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

base::Result<ChatTemplate> ChatTemplate::for_tokenizer(const Tokenizer& tokenizer) {
  const FormatTokens tokens{.bos = token_text(tokenizer, tokenizer.bos()),
                            .eos = token_text(tokenizer, tokenizer.eos()),
                            .can_think = tokenizer.find("<think>").has_value()};
  auto formats = native_formats(tokenizer, tokens);
  auto impl = std::make_unique<Impl>();
  if (tokenizer.chat_template().empty()) {
    if (formats.empty()) {
      return base::fail("the file has no chat template, and its control tokens are of no format known here");
    }
    impl->format = std::move(formats.front());
    return ChatTemplate(std::move(impl));
  }
  auto own = make_jinja(tokenizer.chat_template(), tokens);
  if (!own) return std::unexpected(own.error());
  for (auto& native : formats) {
    if (!writes_the_same(*native, **own)) continue;
    impl->format = std::move(native);
    if (writes_tools(tokenizer.chat_template(), **own)) impl->with_tools = std::move(*own);
    return ChatTemplate(std::move(impl));
  }
  impl->format = std::move(*own);
  return ChatTemplate(std::move(impl));
}

base::Result<ChatTemplate> ChatTemplate::from_jinja(std::string_view text, std::string_view bos, std::string_view eos) {
  auto format = make_jinja(text, {.bos = std::string(bos), .eos = std::string(eos)});
  if (!format) return std::unexpected(format.error());
  auto impl = std::make_unique<Impl>();
  impl->format = std::move(*format);
  return ChatTemplate(std::move(impl));
}

base::Result<Rendered> ChatTemplate::render(const std::vector<Message>& messages, const RenderOptions& options) const {
  const ChatFormat& format = impl_->with_tools && has_tools(messages, options) ? *impl_->with_tools : *impl_->format;
  auto prompt = format.render(messages, options);
  if (!prompt) return std::unexpected(prompt.error());
  Rendered rendered{std::move(*prompt), false};
  rendered.opens_thinking = opens_thinking(rendered.prompt);
  return rendered;
}

std::string_view ChatTemplate::format() const {
  return impl_->format->name();
}
bool ChatTemplate::can_think() const {
  return impl_->format->can_think();
}
ToolSyntax ChatTemplate::tool_syntax() const {
  return impl_->format->tool_syntax();
}

}  // namespace fathom::tokens
