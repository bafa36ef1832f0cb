// Block by block. Only what a text model can read is let through.
#include "server/messages_request.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>

#include "server/block_reader.h"
#include "server/field_reader.h"

namespace fathom::server {

namespace {

using files::Json;
using Lost = std::optional<ApiError>;

constexpr std::string_view kTextBlocks[] = {"text"};

// One of Anthropic's own programs puts a line for the biller first, another one with each request. It is not meant for
// the model, and would make every prompt a new one to the prefix cache.
bool is_billing_line(const Json& block) {
  if (block_type(block) != "text") return false;
  const auto text = block.find("text");
  return text != block.end() && text->is_string() &&
         text->get_ref<const std::string&>().starts_with("x-anthropic-billing-header:");
}

Lost add_system(const Json& system, Json& messages) {
  Json blocks = system;
  if (blocks.is_array()) std::erase_if(blocks.get_ref<Json::array_t&>(), is_billing_line);
  auto text = joined_text(blocks, "system", kTextBlocks);
  if (!text) return text.error();
  if (!text->empty()) messages.push_back({{"role", "system"}, {"content", std::move(*text)}});
  return std::nullopt;
}

// A user's blocks: results of tools become messages of their own, in their place.
Lost add_user(const Json& content, const std::string& where, Json& messages) {
  std::string text;
  bool any = false;
  const auto flush = [&] {
    if (any) messages.push_back({{"role", "user"}, {"content", std::exchange(text, {})}});
    any = false;
  };
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Json& block = content[i];
    const std::string at = fmt::format("{}[{}]", where, i), type = block_type(block);
    if (type == "text") {
      auto piece = block_text(block, "text", at);
      if (!piece) return piece.error();
      if (any) text += '\n';
      text += *piece;
      any = true;
    } else if (type == "tool_result") {
      flush();
      auto id = block_text(block, "tool_use_id", at);
      if (!id) return id.error();
      auto result = joined_text(block.value("content", Json()), at + ".content", kTextBlocks);
      if (!result) return result.error();
      messages.push_back({{"role", "tool"}, {"tool_call_id", std::move(*id)}, {"content", std::move(*result)}});
    } else {
      return unreadable_block(at, block, "text and tool_result");
    }
  }
  flush();
  return std::nullopt;
}

Lost add_call(const Json& block, const std::string& where, Json& calls) {
  auto id = block_text(block, "id", where);
  if (!id) return id.error();
  auto name = block_text(block, "name", where);
  if (!name) return name.error();
  const auto input = block.find("input");
  if (input == block.end() || !input->is_object()) return bad_block(where + ".input", "expected an object");
  calls.push_back({{"id", std::move(*id)},
                   {"type", "function"},
                   {"function", {{"name", std::move(*name)}, {"arguments", json_text(*input)}}}});
  return std::nullopt;
}

bool is_own_thought(const Json& block, const std::string& thought) {
  const auto signature = block.find("signature");
  if (signature == block.end() || !signature->is_string()) return false;
  const std::string own = signature_of(thought), &given = signature->get_ref<const std::string&>();
  return own.size() == given.size() && CRYPTO_memcmp(own.data(), given.data(), own.size()) == 0;
}

Lost add_assistant(const Json& content, const std::string& where, Json& messages) {
  std::string text, thought;
  Json calls = Json::array();
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Json& block = content[i];
    const std::string at = fmt::format("{}[{}]", where, i), type = block_type(block);
    if (type == "text" || type == "thinking") {
      auto piece = block_text(block, type.c_str(), at);
      if (!piece) return piece.error();
      if (type == "text") {
        text += *piece;
      } else if (is_own_thought(block, *piece)) {
        thought += *piece;
      }
    } else if (type == "tool_use") {
      if (auto lost = add_call(block, at, calls)) return lost;
    } else if (type != "redacted_thinking") {  // nobody but its maker can read that
      return unreadable_block(at, block, "text, thinking and tool_use");
    }
  }
  Json message = {{"role", "assistant"}, {"content", std::move(text)}};
  if (!thought.empty()) message["reasoning_content"] = std::move(thought);
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  messages.push_back(std::move(message));
  return std::nullopt;
}

Lost add_message(const Json& message, const std::string& where, Json& messages) {
  if (!message.is_object()) return bad_block(where, "expected an object with a role and content");
  auto role = block_text(message, "role", where);
  if (!role) return role.error();
  if (*role != "user" && *role != "assistant") return bad_block(where + ".role", "expected user or assistant");
  const Json content = message.value("content", Json());
  if (!content.is_string() && !content.is_array())
    return bad_block(where + ".content", "expected a string or an array of blocks");
  const Json blocks = content.is_array() ? content : Json::array({{{"type", "text"}, {"text", content}}});
  return *role == "user" ? add_user(blocks, where + ".content", messages)
                         : add_assistant(blocks, where + ".content", messages);
}

Lost read_conversation(const Json& body, Json& chat) {
  Json messages = Json::array();
  if (auto lost = add_system(body.value("system", Json()), messages)) return lost;
  const auto given = body.find("messages");
  if (given == body.end() || !given->is_array() || given->empty())
    return bad_block("messages", "expected an array of at least one message");
  for (std::size_t i = 0; i < given->size(); ++i) {
    if (auto lost = add_message((*given)[i], fmt::format("messages[{}]", i), messages)) return lost;
  }
  // A last turn of the assistant is the beginning of its answer.
  if (!messages.empty() && messages.back()["role"] == "assistant" && !messages.back().contains("tool_calls"))
    messages.back()["prefix"] = true;
  chat["messages"] = std::move(messages);
  return std::nullopt;
}

Lost read_messages_tools(FieldReader& fields, Json& chat) {
  const Json* tools = fields.array("tools");
  if (tools == nullptr) return std::nullopt;
  Json functions = Json::array();
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const Json& tool = (*tools)[i];
    const std::string where = fmt::format("tools[{}]", i), type = block_type(tool);
    if (!tool.is_object()) return bad_block(where, "expected an object with a name and an input_schema");
    if (!type.empty() && type != "custom")
      return bad_block(where + ".type",
                       fmt::format("'{}' is a tool of Anthropic's own service: only tools that the client "
                                   "runs can be given",
                                   type.substr(0, 40)));
    Json function = {{"name", tool.value("name", Json())}, {"parameters", tool.value("input_schema", Json())}};
    for (const char* name : {"description", "strict"}) {
      if (tool.contains(name)) function[name] = tool[name];
    }
    functions.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  chat["tools"] = std::move(functions);
  return std::nullopt;
}

Lost read_tool_choice(FieldReader& fields, Json& chat) {
  const Json* choice = fields.object("tool_choice");
  if (choice == nullptr) return std::nullopt;
  const std::string type = block_type(*choice);
  if (type == "auto" || type == "none") {
    chat["tool_choice"] = type;
  } else if (type == "any") {
    chat["tool_choice"] = "required";
  } else if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", choice->value("name", Json())}}}};
  } else {
    return bad_block("tool_choice.type", "expected auto, any, tool or none");
  }
  FieldReader inner(*choice);
  const auto alone = inner.boolean("disable_parallel_tool_use");
  if (inner.error()) return bad_block("tool_choice.disable_parallel_tool_use", "expected true or false");
  if (alone) chat["parallel_tool_calls"] = !*alone;
  return std::nullopt;
}

// Unless it is asked for there is no thought, which is what clients of Messages expect.
Lost read_thinking(FieldReader& fields, Json& chat) {
  Json thinking = {{"type", "disabled"}};
  if (const Json* given = fields.object("thinking")) {
    thinking = *given;
    const std::string type = block_type(thinking);
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      return bad_block("thinking.type", "expected enabled, disabled or adaptive");
    if (type == "adaptive") thinking["type"] = "enabled";
  }
  const Json* output = fields.object("output_config");
  if (output != nullptr && output->contains("effort")) chat["reasoning_effort"] = (*output)["effort"];
  if (thinking["type"] != "disabled" || !chat.contains("reasoning_effort")) chat["thinking"] = std::move(thinking);
  return std::nullopt;
}

Lost read_messages_format(FieldReader& fields, Json& chat) {
  const Json* output = fields.object("output_config");
  const Json* format = fields.object("output_format");
  if (output != nullptr && output->contains("format")) format = &(*output)["format"];
  if (format == nullptr) return std::nullopt;
  if (block_type(*format) != "json_schema") return bad_block("output_config.format.type", "expected json_schema");
  chat["response_format"] = {
      {"type", "json_schema"},
      {"json_schema", {{"name", "output"}, {"schema", format->value("schema", Json())}, {"strict", true}}}};
  return std::nullopt;
}

}  // namespace

ApiResult<Json> messages_to_chat(const Json& body) {
  Json chat = Json::object();
  for (const char* name : {"model", "max_tokens", "stream", "temperature", "top_p", "top_k"}) {
    if (body.contains(name)) chat[name] = body[name];
  }
  FieldReader fields(body);
  if (const Json* stops = fields.array("stop_sequences")) chat["stop"] = *stops;
  const Json* metadata = fields.object("metadata");
  if (metadata != nullptr && metadata->contains("user_id")) chat["user"] = (*metadata)["user_id"];
  if (auto lost = read_conversation(body, chat)) return std::unexpected(std::move(*lost));
  for (const auto read : {read_messages_tools, read_tool_choice, read_thinking, read_messages_format}) {
    if (auto lost = read(fields, chat)) return std::unexpected(std::move(*lost));
  }
  if (fields.error()) return std::unexpected(*fields.error());
  return chat;
}

ApiError messages_error(ApiError error) {
  constexpr RenamedField kNames[] = {{"stop", "stop_sequences"}, {"response_format", "output_config.format"}};
  return in_own_words(std::move(error), kNames);
}

std::string signature_of(std::string_view thought) {
  static const auto kKey = [] {
    std::array<unsigned char, 32> key{};
    FATHOM_CHECK(RAND_bytes(key.data(), static_cast<int>(key.size())) == 1);
    return key;
  }();
  std::array<unsigned char, SHA256_DIGEST_LENGTH> code{};
  FATHOM_CHECK(HMAC(EVP_sha256(), kKey.data(), static_cast<int>(kKey.size()),
                    reinterpret_cast<const unsigned char*>(thought.data()), thought.size(), code.data(),
                    nullptr) != nullptr);
  std::array<unsigned char, 45> text{};  // base64 of 32 bytes, and a zero
  const int length = EVP_EncodeBlock(text.data(), code.data(), static_cast<int>(code.size()));
  return {reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(length)};
}

}  // namespace fathom::server
