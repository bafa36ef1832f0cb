// tokenize, detokenize, render: what a model's tokenizer and template make of a text, without its weights.
#include <fmt/ranges.h>

#include <cstdio>

#include "apps/commands.h"

namespace fathom::apps {

using base::fail;

namespace {

base::Result<tokens::Tokenizer> open_tokenizer(const std::string& model) {
  auto path = resolve_model(model);
  if (!path) return std::unexpected(path.error());
  return engine::load_tokenizer(*path);
}

}  // namespace

Status tokenize(const TokenizeFlags& flags) {
  auto tokenizer = open_tokenizer(flags.model);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  auto text = read_text(flags.file);
  if (!text) return std::unexpected(text.error());
  fmt::print("[{}]\n", fmt::join(tokenizer->encode(*text, flags.specials), ", "));
  return {};
}

Status detokenize(const TokenizeFlags& flags) {
  auto tokenizer = open_tokenizer(flags.model);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  auto text = read_text(flags.file);
  if (!text) return std::unexpected(text.error());
  auto ids = parse_ids(*text, flags.file);
  if (!ids) return std::unexpected(ids.error());
  for (const tokens::TokenId id : *ids)
    if (id < 0 || id >= tokenizer->vocabulary_size())
      return fail("{}: token {} is outside the vocabulary of {}", flags.file, id, tokenizer->vocabulary_size());
  fmt::print("{}", tokenizer->decode(*ids, true));
  return {};
}

Status render(const RenderFlags& flags) {
  auto tokenizer = open_tokenizer(flags.model);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  auto chat_template = tokens::ChatTemplate::for_tokenizer(*tokenizer);
  if (!chat_template) return base::fail_with(flags.model, chat_template.error());
  auto json = files::read_json(flags.messages);
  if (!json) return std::unexpected(json.error());
  auto messages = tokens::messages_from_json(*json);
  if (!messages) return base::fail_with(flags.messages, messages.error());
  tokens::RenderOptions options{.generation_prompt = flags.generation_prompt, .thinking = flags.thinking};
  if (!flags.tools.empty()) {
    auto tools = files::read_json(flags.tools);
    if (!tools) return std::unexpected(tools.error());
    if (!tools->is_array()) return fail("{}: expected a JSON array of tools", flags.tools);
    options.tools = std::move(*tools);
  }
  auto rendered = chat_template->render(*messages, options);
  if (!rendered) return std::unexpected(rendered.error());
  const std::string text = tokens::prompt_text(rendered->prompt);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

}  // namespace fathom::apps
