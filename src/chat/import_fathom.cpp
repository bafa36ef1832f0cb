// Fathom's own export. It may come from anybody, so each field is held against what the store expects.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "chat/file_text.h"
#include "chat/import_formats.h"
#include "chat/store.h"
#include "chat/utf8_cut.h"

namespace fathom::chat {

namespace {

using files::Json;

bool is_id(const std::string& text) {
  return text.size() >= 8 && text.size() <= 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
         });
}

std::int64_t whole_number(const Json& object, std::string_view name) {
  const Json* found = field(object, name);
  if (found == nullptr || !found->is_number_integer()) return 0;
  return std::clamp<std::int64_t>(found->get<std::int64_t>(), 0, std::int64_t{1} << 52);
}

// The fields of a usage are the page's: numbers, or null.
std::optional<std::string> usage_of(const Json& message) {
  const Json* usage = field(message, "usage");
  if (usage == nullptr || !usage->is_object() || usage->size() > 32) return std::nullopt;
  const bool plain =
      std::ranges::all_of(*usage, [](const Json& value) { return value.is_number() || value.is_null(); });
  return plain ? std::optional(usage->dump()) : std::nullopt;
}

// Only what names a file that is there; else none of them, since the answer counts them.
std::optional<std::string> sources_of(const Json& message, const std::set<std::string>& files) {
  const Json* sources = field(message, "sources");
  if (sources == nullptr || !sources->is_array() || sources->empty() || sources->size() > 1000) return std::nullopt;
  Json kept = Json::array();
  for (const Json& source : *sources) {
    const std::string unit = text_field(source, "unit"), id = text_field(source, "file_id");
    if (!files.contains(id) || (unit != "line" && unit != "page")) return std::nullopt;
    Json one = {{"title", text_field(source, "title")}, {"file_id", id}, {"unit", unit}};
    for (const char* name : {"first", "last", "from", "to"}) one[name] = whole_number(source, name);
    kept.push_back(std::move(one));
  }
  return kept.dump();
}

std::string status_of(const Json& message) {
  const std::string status = text_field(message, "status");
  constexpr std::string_view kKnown[] = {"stopped", "length", "interrupted", "failed"};
  if (status == "running") return "interrupted";
  return std::ranges::find(kKnown, std::string_view(status)) != std::end(kKnown) ? status : "done";
}

class FathomReader {
 public:
  base::Result<ImportedConversation> read(const Json& json) {
    const Json& conversation = *field(json, "conversation");
    const Json& messages = *field(json, "messages");
    if (!is_id(text_field(conversation, "id")) || !messages.is_array())
      return base::fail("expected a conversation with an id, and an array of messages");
    read_conversation(conversation);
    for (const Json& message : messages) {
      if (auto good = read_message(message); !good) return std::unexpected(good.error());
    }
    const std::string leaf = text_field(conversation, "leaf_id");
    if (ids_.contains(leaf)) imported_.conversation.leaf_id = leaf;
    if (ids_.empty()) return base::fail("{:?} has no messages", imported_.conversation.title);
    return std::move(imported_);
  }

 private:
  void read_conversation(const Json& json) {
    Conversation& c = imported_.conversation;
    imported_.source = "fathom";
    c.id = text_field(json, "id");
    c.title = cut_utf8(text_field(json, "title"), kMaxTitle);
    c.title_by = "person";
    const Json* pinned = field(json, "pinned");
    c.pinned = pinned != nullptr && *pinned == true;
    if (const Json* options = field(json, "options"); options != nullptr && options->is_object())
      c.options = options->dump();
    c.created_at = whole_number(json, "created_at");
    c.updated_at = whole_number(json, "updated_at");
  }

  base::Result<void> read_message(const Json& json) {
    Message m{.id = text_field(json, "id"),
              .conversation_id = imported_.conversation.id,
              .role = text_field(json, "role"),
              .content = text_field(json, "content"),
              .status = status_of(json),
              .usage = usage_of(json),
              .created_at = whole_number(json, "created_at")};
    if (!is_id(m.id) || (m.role != "user" && m.role != "assistant") || !ids_.insert(m.id).second)
      return base::fail("{:?}: a message without an id of its own or a role", imported_.conversation.title);
    if (const std::string parent = text_field(json, "parent_id"); !parent.empty()) {
      if (parent == m.id || !ids_.contains(parent))
        return base::fail("{:?}: a message stands before its parent", imported_.conversation.title);
      m.parent_id = parent;
    }
    if (field(json, "reasoning") != nullptr) m.reasoning = text_field(json, "reasoning");
    if (const Json* seconds = field(json, "reasoning_seconds"); seconds != nullptr && seconds->is_number())
      m.reasoning_seconds = std::clamp(seconds->get<double>(), 0.0, 1e6);
    if (const std::string model = text_field(json, "model"); !model.empty()) m.model = cut_utf8(model, 200);
    if (const Json* error = field(json, "error"); error != nullptr && m.status == "failed")
      m.error = RunError{text_field(*error, "code"), text_field(*error, "message")};
    const Json* by_person = field(json, "by_person");
    m.by_person = m.role == "user" || (by_person != nullptr && *by_person == true);
    read_files(json, m);
    m.sources = sources_of(json, files_);
    imported_.messages.push_back(std::move(m));
    return {};
  }

  // Files without their text are not there to be attached.
  void read_files(const Json& json, Message& message) {
    const Json* files = field(json, "files");
    if (files == nullptr || !files->is_array()) return;
    for (const Json& file : *files) {
      NewFile wanted{.id = text_field(file, "id"),
                     .name = cut_utf8(text_field(file, "name"), 1020),
                     .kind = text_field(file, "kind"),
                     .bytes = whole_number(file, "bytes"),
                     .tokens = whole_number(file, "tokens"),
                     .text = text_field(file, "text")};
      constexpr std::string_view kKinds[] = {"text", "markdown", "code", "csv", "pdf"};
      const bool known = std::ranges::find(kKinds, std::string_view(wanted.kind)) != std::end(kKinds);
      if (!is_id(wanted.id) || !known || wanted.text.empty() || message.files.size() >= 20) continue;
      const auto same = [&](const File& other) { return other.id == wanted.id; };
      if (std::ranges::any_of(message.files, same)) continue;
      message.files.push_back({.id = wanted.id});
      if (files_.insert(wanted.id).second) imported_.files.push_back(std::move(wanted));
    }
  }

  ImportedConversation imported_;
  std::set<std::string> ids_, files_;
};

}  // namespace

base::Result<ImportedConversation> imported_from_fathom(const Json& json) {
  return FathomReader().read(json);
}

}  // namespace fathom::chat
