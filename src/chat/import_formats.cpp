// ChatGPT and DeepSeek keep a conversation as a tree of nodes ("mapping"): here every path of it becomes questions and
// answers. What an assistant did in several nodes (thoughts, calls of tools, text) becomes one answer.
#include "chat/import_formats.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "chat/store.h"
#include "chat/utf8_cut.h"

namespace fathom::chat {

using files::Json;

const Json* field(const Json& object, std::string_view name) {
  const Json* found = files::member(object, name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::string text_field(const Json& object, std::string_view name) {
  const Json* found = field(object, name);
  const auto* text = found == nullptr ? nullptr : found->get_ptr<const std::string*>();
  return text == nullptr ? "" : *text;
}

std::int64_t milliseconds_of_date(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zone_hour = 0, zone_minute = 0, used = 0;
  const std::string whole(text.substr(0, 40));
  if (std::sscanf(whole.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6)
    return 0;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || year < 1970 || hour > 23 || minute > 59 || second > 60 || hour < 0 || minute < 0 || second < 0)
    return 0;
  const char* rest = whole.c_str() + used;
  std::int64_t fraction = 0, unit = 100;
  if (*rest == '.') {
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) fraction += (*rest - '0') * unit;
  }
  if ((*rest == '+' || *rest == '-') && std::sscanf(rest + 1, "%2d:%2d", &zone_hour, &zone_minute) != 2) return 0;
  const int zone = (zone_hour * 60 + zone_minute) * (*rest == '-' ? -1 : 1);
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + hour) * 60 + minute - zone) * 60'000 + second * 1000 + fraction;
}

namespace {

// ChatGPT's: seconds, with a fraction.
std::int64_t milliseconds_of_seconds(const Json* seconds) {
  if (seconds == nullptr || !seconds->is_number()) return 0;
  const double value = seconds->get<double>();
  return std::isfinite(value) && value > 0 && value < 1e11 ? static_cast<std::int64_t>(value * 1000) : 0;
}

std::string digest(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> bytes{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data());
  std::string hex;
  for (const unsigned char byte : std::span(bytes).first(16)) hex += fmt::format("{:02x}", byte);
  return hex;
}

void add_text(std::string& text, std::string_view more) {
  if (more.empty()) return;
  if (!text.empty()) text += "\n\n";
  text += more;
}

// What one node says.
struct Piece {
  enum class Kind { kNothing, kQuestion, kAnswer } kind = Kind::kNothing;
  std::string content, reasoning, model;
  std::optional<double> seconds;
  std::int64_t at = 0;
};

// ---- ChatGPT

std::string parts_of(const Json& content) {
  std::string text;
  const Json* parts = field(content, "parts");
  if (parts == nullptr || !parts->is_array()) return text_field(content, "text");
  for (const Json& part : *parts) {
    if (const auto* plain = part.get_ptr<const std::string*>()) {
      add_text(text, *plain);
    } else {
      const std::string type = text_field(part, "content_type"), heard = text_field(part, "text");
      const bool picture = type.starts_with("image"), sound = type.contains("audio");
      add_text(text, !heard.empty() ? heard : picture ? "[image]" : sound ? "[audio]" : "");
    }
  }
  return text;
}

Piece chatgpt_piece(const Json& message) {
  Piece piece{.at = milliseconds_of_seconds(field(message, "create_time"))};
  const Json* author = field(message, "author");
  const Json* content = field(message, "content");
  if (author == nullptr || content == nullptr) return piece;
  const std::string role = text_field(*author, "role"), type = text_field(*content, "content_type");
  const Json* metadata = field(message, "metadata");
  const Json* hidden = metadata == nullptr ? nullptr : field(*metadata, "is_visually_hidden_from_conversation");
  if ((hidden != nullptr && *hidden == true) || role == "system" || type.ends_with("_editable_context")) return piece;
  if (metadata != nullptr) piece.model = text_field(*metadata, "model_slug");
  if (role == "user") {
    piece.kind = Piece::Kind::kQuestion;
    piece.content = parts_of(*content);
    return piece;
  }
  piece.kind = Piece::Kind::kAnswer;
  if (type == "thoughts") {
    const Json* thoughts = field(*content, "thoughts");
    if (thoughts == nullptr || !thoughts->is_array()) return piece;
    for (const Json& thought : *thoughts) {
      const std::string summary = text_field(thought, "summary");
      add_text(piece.reasoning, summary.empty() ? "" : "**" + summary + "**");
      add_text(piece.reasoning, text_field(thought, "content"));
    }
  } else if (type == "reasoning_recap") {
    const Json* seconds = metadata == nullptr ? nullptr : field(*metadata, "finished_duration_sec");
    if (seconds != nullptr && seconds->is_number()) piece.seconds = std::clamp(seconds->get<double>(), 0.0, 1e6);
  } else if (type == "code" || type == "execution_output") {
    const std::string text = text_field(*content, "text");
    const std::string language = type == "code" ? text_field(*content, "language") : "";
    if (!text.empty()) piece.content = fmt::format("```{}\n{}\n```", language == "unknown" ? "" : language, text);
  } else if (type == "text" || type == "multimodal_text") {
    // What is said to a tool is no part of the answer.
    const std::string to = text_field(message, "recipient");
    if (role == "assistant" && (to.empty() || to == "all")) piece.content = parts_of(*content);
  }
  return piece;
}

// ---- DeepSeek

Piece deepseek_piece(const Json& message, bool even) {
  Piece piece{.at = milliseconds_of_date(text_field(message, "inserted_at"))};
  bool asked = false;
  if (const Json* fragments = field(message, "fragments"); fragments != nullptr && fragments->is_array()) {
    for (const Json& fragment : *fragments) {
      const std::string type = text_field(fragment, "type"), text = text_field(fragment, "content");
      asked = asked || type == "REQUEST";
      if (type == "THINK") {
        add_text(piece.reasoning, text);
        if (const Json* seconds = field(fragment, "elapsed_secs"); seconds != nullptr && seconds->is_number())
          piece.seconds = std::clamp(seconds->get<double>(), 0.0, 1e6);
      } else if (type == "REQUEST" || type == "RESPONSE") {
        add_text(piece.content, text);
      }
    }
  } else {  // as exports of early 2025 have it; who speaks follows from the place
    piece.content = text_field(message, "content");
    piece.reasoning = text_field(message, "reasoning_content");
    const std::string role = text_field(message, "role");
    asked = role.empty() ? even : (role == "USER" || role == "user");
  }
  piece.kind = asked ? Piece::Kind::kQuestion : Piece::Kind::kAnswer;
  if (asked) piece.reasoning.clear();
  if (!asked) piece.model = text_field(message, "model");
  return piece;
}

// ---- The tree of either

class TreeReader {
 public:
  TreeReader(const Json& mapping, bool chatgpt, std::string salt)
      : mapping_(mapping), chatgpt_(chatgpt), salt_(std::move(salt)) {}

  // Parents before children.
  std::vector<Message> read() {
    find_children();
    for (const auto& [name, node] : mapping_.items())
      if (!has_parent_.contains(name)) walk(name);
    return std::move(messages_);
  }
  // What a node became, or the last message.
  std::optional<std::string> message_of(const std::string& node) const {
    const auto found = message_of_.find(node);
    if (found != message_of_.end()) return found->second;
    return last_;
  }

 private:
  // Where a path stands: the message before, and the answer that is not complete yet.
  struct Frame {
    std::string node;
    std::optional<std::string> parent;
    std::optional<Message> answer;
    std::string last_node;  // of the answer
    int depth = 0;          // messages before
  };

  void find_children() {
    for (const auto& [name, node] : mapping_.items()) nodes_.emplace(name, &node);
    for (const auto& [name, node] : mapping_.items()) {
      const Json* children = field(node, "children");
      if (children == nullptr || !children->is_array()) continue;
      for (const Json& child : *children) {
        const auto* id = child.get_ptr<const std::string*>();
        if (id != nullptr && nodes_.contains(*id) && has_parent_.insert(*id).second) children_[name].push_back(*id);
      }
    }
    for (const auto& [name, node] : mapping_.items()) {
      const std::string parent = text_field(node, "parent");
      if (!parent.empty() && nodes_.contains(parent) && has_parent_.insert(name).second)
        children_[parent].push_back(name);
    }
  }

  void walk(const std::string& root) {
    std::vector<Frame> open;
    open.push_back({.node = root});
    while (!open.empty()) {
      Frame frame = std::move(open.back());
      open.pop_back();
      visit(frame);
      auto& children = children_[frame.node];
      // Also where paths part: an answer that lay open in each of them would be there many times.
      if (children.size() != 1) flush(frame);
      if (children.empty() && frame.parent) message_of_.try_emplace(frame.node, *frame.parent);
      // The first child is read first, and so becomes the first sibling.
      for (std::size_t i = children.size(); i-- > 0;) {
        open.push_back(i == 0 ? std::move(frame) : Frame(frame));
        open.back().node = std::move(children[i]);
      }
      children.clear();
    }
  }

  void visit(Frame& frame) {
    const Json* message = field(*nodes_.at(frame.node), "message");
    if (message == nullptr) return;
    Piece piece = chatgpt_ ? chatgpt_piece(*message) : deepseek_piece(*message, frame.depth % 2 == 0);
    if (piece.kind == Piece::Kind::kQuestion) {
      flush(frame);
      Message question{.id = id_of(frame.node),
                       .parent_id = frame.parent,
                       .role = "user",
                       .content = std::move(piece.content),
                       .by_person = true,
                       .created_at = piece.at};
      put(frame, std::move(question));
      message_of_[frame.node] = *frame.parent;
    } else if (piece.kind == Piece::Kind::kAnswer) {
      if (!frame.answer) frame.answer = Message{.role = "assistant", .created_at = piece.at};
      Message& answer = *frame.answer;
      add_text(answer.content, piece.content);
      if (!piece.reasoning.empty()) {
        if (!answer.reasoning) answer.reasoning.emplace();
        add_text(*answer.reasoning, piece.reasoning);
      }
      if (piece.seconds) answer.reasoning_seconds = piece.seconds;
      if (!piece.model.empty()) answer.model = std::move(piece.model);
      frame.last_node = frame.node;
    }
  }

  // Ends the answer that is open.
  void flush(Frame& frame) {
    if (!frame.answer) return;
    Message answer = std::move(*frame.answer);
    frame.answer.reset();
    if (answer.content.empty() && !answer.reasoning) return;
    if (answer.reasoning && !answer.reasoning_seconds) answer.reasoning_seconds = 0;
    answer.id = id_of(frame.last_node);
    answer.parent_id = frame.parent;
    put(frame, std::move(answer));
    message_of_[frame.last_node] = *frame.parent;
  }

  void put(Frame& frame, Message message) {
    frame.parent = message.id;
    ++frame.depth;
    last_ = message.id;
    messages_.push_back(std::move(message));
  }

  std::string id_of(const std::string& node) const { return digest(salt_ + ":" + node); }

  const Json& mapping_;
  const bool chatgpt_;
  const std::string salt_;
  std::unordered_map<std::string, const Json*> nodes_;
  std::unordered_map<std::string, std::vector<std::string>> children_;
  std::unordered_set<std::string> has_parent_;
  std::unordered_map<std::string, std::string> message_of_;  // of nodes
  std::optional<std::string> last_;
  std::vector<Message> messages_;
};

base::Result<ImportedConversation> imported_tree(const Json& json, const Json& mapping, bool chatgpt,
                                                 const std::string& whose) {
  ImportedConversation imported{.source = chatgpt ? "chatgpt" : "deepseek"};
  std::string id = text_field(json, "conversation_id");
  if (id.empty()) id = text_field(json, "id");
  if (id.empty()) return base::fail("it has no id");
  const std::string salt = fmt::format("{}:{}:{}", imported.source, whose, id);
  Conversation& conversation = imported.conversation;
  conversation.id = digest(salt);
  conversation.title = cut_utf8(text_field(json, "title"), kMaxTitle);
  conversation.title_by = "person";
  conversation.created_at = chatgpt ? milliseconds_of_seconds(field(json, "create_time"))
                                    : milliseconds_of_date(text_field(json, "inserted_at"));
  conversation.updated_at = chatgpt ? milliseconds_of_seconds(field(json, "update_time"))
                                    : milliseconds_of_date(text_field(json, "updated_at"));
  TreeReader reader(mapping, chatgpt, salt);
  imported.messages = reader.read();
  if (imported.messages.empty()) return base::fail("{:?} has no messages", conversation.title);
  conversation.leaf_id = reader.message_of(text_field(json, "current_node"));
  for (Message& message : imported.messages) {
    message.conversation_id = conversation.id;
    if (message.created_at == 0) message.created_at = conversation.created_at;
    conversation.updated_at = std::max(conversation.updated_at, message.created_at);
  }
  return imported;
}

}  // namespace

base::Result<ImportedConversation> imported_conversation(const Json& json, const std::string& whose) {
  const Json* mapping = field(json, "mapping");
  if (mapping != nullptr && mapping->is_object())
    return imported_tree(json, *mapping, field(json, "inserted_at") == nullptr, whose);
  if (field(json, "conversation") != nullptr && field(json, "messages") != nullptr) return imported_from_fathom(json);
  return base::fail("expected a conversation of ChatGPT, DeepSeek or fathom");
}

}  // namespace fathom::chat
