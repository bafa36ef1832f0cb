// Any bytes as a chat template, rendered over a conversation with tools: it must be refused, or end within its limits,
// and never make text that a person typed pass for the template's.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tokens/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fathom::tokens;
  // Bytes that no template writes by itself: it would have to spell them, so inputs with them are left out.
  constexpr std::string_view kTyped = "\xE2\x9C\x82typed";
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("typed") != text.npos) return 0;
  const auto parsed = ChatTemplate::from_jinja(text, "<s>", "</s>");
  if (!parsed) return 0;
  Message system{.role = "system", .content = "be brief"};
  Message user{.role = "user", .content = std::string(kTyped)};
  Message assistant{.role = "assistant", .content = "", .reasoning = "hm"};
  assistant.tool_calls.push_back({"call_1", "f", R"({"a": [1, 2.5, null, "x"]})"});
  Message tool{.role = "tool", .content = "42", .tool_call_id = "call_1", .name = "f"};
  RenderOptions options;
  options.tools = {{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", {{"type", "object"}}}}}}};
  const auto rendered = parsed->render({system, user, assistant, tool}, options);
  if (!rendered) return 0;
  for (const PromptPiece& piece : rendered->prompt) {
    if (piece.trusted && piece.text.find(kTyped) != std::string::npos) __builtin_trap();
  }
  return 0;
}
