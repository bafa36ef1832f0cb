// Conversations, messages that a person wrote, drafts, search.
#include <chrono>
#include <thread>

#include "server/app/app_json.h"
#include "server/app/app_routes.h"
#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

constexpr std::size_t kMaxDraft = kMessageBytes;
constexpr int kMostReadings = 500;  // a millisecond apart

Reply conversation_reply(App& app, const chat::Outcome<chat::Conversation>& outcome, int status = 200) {
  if (!outcome) return error_reply(from_refusal(outcome.error()));
  return json_response(status, app.conversation_json(*outcome));
}

// The same, and everybody is told.
Reply changed_reply(App& app, const chat::Outcome<chat::Conversation>& outcome, int status = 200) {
  if (outcome) app.tell(*outcome);
  return conversation_reply(app, outcome, status);
}

Reply deleted_reply(App& app, const chat::Outcome<chat::Deleted>& deleted) {
  if (!deleted) return error_reply(from_refusal(deleted.error()));
  app.tell_gone(deleted->ids);
  return json_response(200, {{"ids", deleted->ids}, {"purge_at", or_null(deleted->purge_at)}});
}

// Messages as they are now: what is running has the text that came so far. None where a run ended meanwhile, so that
// what was read of it is old; with `whatever`, it counts as interrupted (its end could not be stored).
std::optional<Json> messages_now(App& app, std::vector<chat::Message>& messages, bool whatever) {
  Json list = Json::array();
  for (chat::Message& message : messages) {
    std::int64_t position = 0;
    if (message.status == "running") {
      const auto run = message.run_id ? app.live(*message.run_id) : nullptr;
      if (run == nullptr && !whatever) return std::nullopt;
      if (run == nullptr) {
        message.status = "interrupted";
        message.run_id.reset();
      } else {
        run->show_in(message, position);
      }
    }
    list.push_back(message_json(message, position));
  }
  return list;
}

Reply keep_after_all(App& app, const std::string& id) {
  if (!app.is_temporary(id)) return conversation_reply(app, app.kept().conversation(id));
  chat::Store& temporary = app.store_of(id);
  const auto kept = app.kept().adopt(temporary, id);
  if (!kept) return error_reply(from_refusal(kept.error()));
  app.forget_temporary(id);
  (void)temporary.remove(id, true);
  return changed_reply(app, kept);
}

}  // namespace

Reply list_conversations(App& app, const Call& call) {
  const auto limit = call.query_integer("limit", 1, 200, 50);
  if (!limit) return error_reply(limit.error());
  const auto deleted = call.query_boolean("deleted", false);
  if (!deleted) return error_reply(deleted.error());
  const auto page = app.kept().conversations(static_cast<int>(*limit), call.query("after").value_or(""), *deleted);
  if (!page) return error_reply(from_refusal(page.error()));
  Json list = Json::array();
  for (const chat::Conversation& conversation : page->conversations)
    list.push_back(app::conversation_json(conversation, false));
  return json_response(200, {{"conversations", std::move(list)}, {"next", or_null(page->next)}});
}

Reply create_conversation(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  bool temporary = false;
  const auto wanted = read_new_conversation(*body, "", &temporary);
  if (!wanted) return error_reply(wanted.error());
  const bool taken = temporary && app.kept().conversation(wanted->id);
  chat::Store& store = temporary && !taken ? app.temporary() : app.store_of(wanted->id);
  const auto made = store.create(*wanted);
  if (!made) return error_reply(from_refusal(made.error()));
  if (temporary && !taken) app.is_temporary_now(wanted->id);
  if (made->is_new) app.tell(made->value);
  return json_response(made->is_new ? 201 : 200, app.conversation_json(made->value));
}

Reply delete_all_conversations(App& app, const Call&) {
  std::string after;
  for (;;) {
    const auto page = app.kept().conversations(200, after, false);
    if (!page) return error_reply(from_refusal(page.error()));
    for (const chat::Conversation& conversation : page->conversations) app.stop_run_in(conversation);
    if (!page->next) break;
    after = *page->next;
  }
  return deleted_reply(app, app.kept().remove_all());
}

Reply get_conversation(App& app, const Call& call) {
  const std::string& id = call.value(0);
  // A run that begins or ends between the two readings is read again.
  for (int reading = 1;; ++reading) {
    auto thread = app.store_of(id).thread(id);
    if (!thread) return error_reply(from_refusal(thread.error()));
    const std::string etag = fmt::format("\"{}\"", thread->conversation.revision);
    if (!thread->conversation.run_id && call.request().header("if-none-match") == etag)
      return Response{.status = 304, .headers = {{"ETag", etag}}};
    auto messages = messages_now(app, thread->messages, reading == kMostReadings);
    if (!messages) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    Response response = json_response(200, {{"conversation", app.conversation_json(thread->conversation)},
                                            {"messages", std::move(*messages)},
                                            {"draft", thread->draft ? draft_json(*thread->draft) : Json(nullptr)}});
    if (!thread->conversation.run_id) response.headers.push_back({"ETag", etag});
    return response;
  }
}

Reply change_conversation(App& app, const Call& call) {
  const std::string& id = call.value(0);
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"title", "pinned", "leaf_id", "temporary", "options"});
  chat::ConversationPatch patch{.title = fields.text_of("title", kMaxTitleBytes),
                                .pinned = fields.boolean("pinned"),
                                .leaf_id = fields.id("leaf_id")};
  const auto temporary = fields.boolean("temporary");
  if (temporary && *temporary) fields.refuse("temporary", "expected false: what is kept stays so until it is deleted");
  if (const Json* options = fields.object("options")) {
    const auto checked = check_options(*options);
    if (!checked) return error_reply(checked.error());
    patch.options = json_text(*checked);
  }
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  const bool changes = patch.title || patch.pinned || patch.leaf_id || patch.options;
  const auto changed = changes ? app.store_of(id).change(id, patch) : app.store_of(id).conversation(id);
  if (changed && temporary) return keep_after_all(app, id);
  return changes ? changed_reply(app, changed) : conversation_reply(app, changed);
}

Reply delete_conversation(App& app, const Call& call) {
  const std::string& id = call.value(0);
  const auto purge = call.query_boolean("purge", false);
  if (!purge) return error_reply(purge.error());
  chat::Store& store = app.store_of(id);
  if (const auto conversation = store.conversation(id)) app.stop_run_in(*conversation);
  const bool temporary = app.is_temporary(id);
  const auto deleted = store.remove(id, *purge || temporary);
  if (deleted && temporary) app.forget_temporary(id);
  return deleted_reply(app, deleted);
}

Reply restore_conversation(App& app, const Call& call) {
  return changed_reply(app, app.kept().restore(call.value(0)));
}

Reply make_title(App& app, const Call& call) {
  const auto begun = app.make_title(call.value(0), call.wait());
  if (!begun) return error_reply(begun.error());
  return Response{.status = 202};
}

Reply add_message(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"id", "parent_id", "role", "content"});
  chat::NewMessage wanted{.id = fields.required_id("id"),
                          .conversation_id = call.value(0),
                          .parent_id = fields.id("parent_id"),
                          .role = fields.required_text("role", 100),
                          .content = fields.required_text("content", kMessageBytes)};
  if (wanted.role != "user" && wanted.role != "assistant") fields.refuse("role", "expected \"user\" or \"assistant\"");
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  chat::Store& store = app.store_of(wanted.conversation_id);
  const auto made = store.add(wanted);
  if (!made) return error_reply(from_refusal(made.error()));
  if (made->is_new) {
    if (const auto conversation = store.conversation(wanted.conversation_id)) app.tell(*conversation);
  }
  return json_response(made->is_new ? 201 : 200, message_json(made->value, 0));
}

Reply get_draft(App& app, const Call& call) {
  const auto draft = app.store_of(call.value(0)).draft(call.value(0));
  if (!draft) return error_reply(from_refusal(draft.error()));
  return json_response(200, draft_json(*draft));
}

Reply keep_draft(App& app, const Call& call) {
  const std::string& key = call.value(0);
  if (key != "new" && !is_id(key)) return error_reply(bad_request("key", "expected a conversation's id, or \"new\""));
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"text", "file_ids", "updated_at"});
  chat::Draft draft{.text = fields.text("text").value_or(""),
                    .updated_at = fields.integer("updated_at", 0, INT64_MAX / 2).value_or(0)};
  if (fields.value("text") == nullptr) fields.refuse("text", "is missing");
  if (fields.value("updated_at") == nullptr) fields.refuse("updated_at", "is missing");
  if (draft.text.size() > kMaxDraft) fields.refuse("text", fmt::format("expected at most {} bytes", kMaxDraft));
  draft.file_ids = json_text(fields.ids("file_ids", kMostFiles));
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  chat::Store& store = app.store_of(key);
  const auto kept = store.keep_draft(key, draft);
  if (!kept) return error_reply(from_refusal(kept.error()));
  if (const auto conversation = store.conversation(key)) app.tell(*conversation);
  return json_response(200, draft_json(*kept));
}

Reply search(App& app, const Call& call) {
  const std::string query = call.query("q").value_or("");
  if (query.empty() || query.size() > 800) return error_reply(bad_request("q", "expected 1 to 200 characters"));
  const auto limit = call.query_integer("limit", 1, 100, 30);
  if (!limit) return error_reply(limit.error());
  const auto hits = app.kept().search(query, static_cast<int>(*limit));
  if (!hits) return error_reply(from_refusal(hits.error()));
  Json list = Json::array();
  for (const chat::Hit& hit : *hits) {
    list.push_back({{"conversation_id", hit.conversation_id},
                    {"message_id", or_null(hit.message_id)},
                    {"title", marked_json(hit.title)},
                    {"snippet", marked_json(hit.snippet)},
                    {"at", hit.at}});
  }
  return json_response(200, {{"hits", std::move(list)}});
}

}  // namespace fathom::server::app
