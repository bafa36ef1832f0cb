// Conversations as files to keep: Markdown of the path that is shown, JSON of the whole tree.
#include <set>
#include <unordered_map>

#include "base/clock.h"
#include "server/app/app_json.h"
#include "server/app/app_routes.h"

namespace fathom::server::app {

namespace {

std::vector<const chat::Message*> shown_path(const chat::Thread& thread) {
  std::unordered_map<std::string_view, const chat::Message*> by_id;
  for (const chat::Message& message : thread.messages) by_id[message.id] = &message;
  std::vector<const chat::Message*> path;
  for (auto at = thread.conversation.leaf_id; at;) {
    const auto found = by_id.find(*at);
    if (found == by_id.end()) break;
    path.push_back(found->second);
    at = found->second->parent_id;
  }
  std::ranges::reverse(path);
  return path;
}

// A thought stands as a quotation before its answer.
std::string as_quotation(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    result += fmt::format("> {}\n", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

// The longest row of backticks and one more, so that nothing within ends the fence.
std::string fence_for(std::string_view text) {
  std::size_t longest = 2, row = 0;
  for (const char c : text) {
    row = c == '`' ? row + 1 : 0;
    longest = std::max(longest, row);
  }
  return std::string(longest + 1, '`');
}

std::string text_of(const chat::Store& store, const chat::File& file) {
  return store.file_text(file.id, 0, INT64_MAX).value_or("");  // gone meanwhile, with its conversation
}

std::string markdown_of_files(const chat::Thread& thread, const chat::Store& store) {
  std::string text;
  std::set<std::string> seen;
  for (const chat::Message* message : shown_path(thread)) {
    for (const chat::File& file : message->files) {
      if (!seen.insert(file.id).second) continue;
      const std::string content = text_of(store, file), fence = fence_for(content);
      text +=
          fmt::format("\n## {}\n\n{}\n{}{}{}\n", file.name, fence, content, content.ends_with('\n') ? "" : "\n", fence);
    }
  }
  return text;
}

std::string markdown(const chat::Thread& thread, const chat::Store& store) {
  const chat::Conversation& c = thread.conversation;
  std::string text = fmt::format("# {}\n\n{}\n", c.title.empty() ? "…" : c.title, base::utc_day(c.updated_at / 1000));
  for (const chat::Message* message : shown_path(thread)) {
    text += fmt::format("\n## {}\n\n", message->role == "user" ? "User" : message->model.value_or("Assistant"));
    for (const chat::File& file : message->files) text += fmt::format("- {}\n", file.name);
    if (!message->files.empty()) text += '\n';
    if (message->reasoning) text += as_quotation(*message->reasoning) + "\n";
    text += message->content;
    if (!text.ends_with('\n')) text += '\n';
  }
  return text + markdown_of_files(thread, store);
}

Json json_of(const chat::Thread& thread, const chat::Store& store, bool temporary) {
  Json messages = Json::array();
  for (const chat::Message& message : thread.messages) {
    messages.push_back(message_json(message, 0));
    for (std::size_t i = 0; i < message.files.size(); ++i)
      messages.back()["files"][i]["text"] = text_of(store, message.files[i]);
  }
  return {{"conversation", conversation_json(thread.conversation, temporary)}, {"messages", std::move(messages)}};
}

// A name for the file that every system takes; the title itself goes along for those that take more (RFC 6266).
Header disposition(std::string_view title, std::string_view ending) {
  std::string plain, encoded;
  for (const char c : title) {
    const bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter) plain += c;
    if (!letter && !plain.ends_with('-') && !plain.empty()) plain += '-';
    if (letter) encoded += c;
    if (!letter && c != '/' && c != '\\') encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  while (plain.ends_with('-')) plain.pop_back();
  if (plain.empty()) plain = "conversation";
  return {"Content-Disposition", fmt::format("attachment; filename=\"{}.{}\"; filename*=UTF-8''{}.{}", plain, ending,
                                             encoded.empty() ? plain : encoded, ending)};
}

AppResult<bool> wants_markdown(const Call& call) {
  const std::string format = call.query("format").value_or("");
  if (format == "markdown") return true;
  if (format == "json") return false;
  return std::unexpected(bad_request("format", "expected markdown or json"));
}

// All conversations, read one at a time as the client takes them.
class Everything final : public EventStream {
 public:
  Everything(App& app, bool as_markdown) : app_(app), markdown_(as_markdown) {}

  void set_wake(std::function<void()>) override {}

  std::string_view content_type() const override {
    return markdown_ ? "text/markdown; charset=utf-8" : "application/json";
  }
  std::vector<Header> headers() const override { return {disposition("fathom", markdown_ ? "md" : "json")}; }

  Events read() override {
    Events events;
    if (!begun_ && !markdown_) events.text = R"({"format":"fathom","version":1,"conversations":[)";
    begun_ = true;
    if (waiting_.empty() && !next_page()) {
      if (!markdown_) events.text += "]}\n";
      events.done = true;
      return events;
    }
    // One that was deleted meanwhile is not there any more.
    const auto thread = app_.kept().thread(waiting_.back());
    waiting_.pop_back();
    if (thread) {
      if (!first_) events.text += markdown_ ? "\n" : ",";
      events.text += markdown_ ? app::markdown(*thread, app_.kept()) : json_text(json_of(*thread, app_.kept(), false));
      first_ = false;
    } else {
      events.text += markdown_ ? "\n" : " ";  // nothing to send would be waited for
    }
    return events;
  }

 private:
  bool next_page() {
    if (last_page_) return false;
    const auto page = app_.kept().conversations(200, after_, false);
    if (!page) return false;
    for (const chat::Conversation& conversation : page->conversations) waiting_.push_back(conversation.id);
    std::ranges::reverse(waiting_);
    last_page_ = !page->next;
    after_ = page->next.value_or("");
    return !waiting_.empty();
  }

  App& app_;
  const bool markdown_;
  std::vector<std::string> waiting_;  // the next one last
  std::string after_;
  bool last_page_ = false, begun_ = false, first_ = true;
};

}  // namespace

Reply export_conversation(App& app, const Call& call) {
  const auto as_markdown = wants_markdown(call);
  if (!as_markdown) return error_reply(as_markdown.error());
  const std::string& id = call.value(0);
  const chat::Store& store = app.store_of(id);
  const auto thread = store.thread(id);
  if (!thread) return error_reply(from_refusal(thread.error()));
  const Json whole = {{"format", "fathom"},
                      {"version", 1},
                      {"conversations", Json::array({json_of(*thread, store, app.is_temporary(id))})}};
  Response response{.content_type = *as_markdown ? "text/markdown; charset=utf-8" : "application/json",
                    .body = *as_markdown ? markdown(*thread, store) : json_text(whole) + "\n"};
  response.headers.push_back(disposition(thread->conversation.title, *as_markdown ? "md" : "json"));
  return response;
}

Reply export_all(App& app, const Call& call) {
  const auto as_markdown = wants_markdown(call);
  if (!as_markdown) return error_reply(as_markdown.error());
  return std::make_unique<Everything>(app, *as_markdown);
}

}  // namespace fathom::server::app
