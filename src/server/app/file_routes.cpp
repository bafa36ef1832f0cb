// Files to be attached: their text is read and kept, the bytes are not.
#include "chat/file_text.h"
#include "server/app/app_json.h"
#include "server/app/app_routes.h"
#include "server/app/sources.h"

namespace fathom::server::app {

namespace {

constexpr std::size_t kMostName = 1020;  // 255 characters

struct Wanted {
  std::string name;
  bool pdf = false, temporary = false;
};

AppResult<Wanted> read_wanted(const Call& call) {
  Wanted wanted{.name = call.query("name").value_or("")};
  const bool controls = std::ranges::any_of(wanted.name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (wanted.name.empty() || wanted.name.size() > kMostName || controls)
    return std::unexpected(bad_request("name", "expected the file's name, of 1 to 255 characters"));
  const std::string kind = call.query("kind").value_or("text");
  if (kind != "text" && kind != "pdf_text") return std::unexpected(bad_request("kind", "expected text or pdf_text"));
  wanted.pdf = kind == "pdf_text";
  const auto temporary = call.query_boolean("temporary", false);
  if (!temporary) return std::unexpected(temporary.error());
  wanted.temporary = *temporary;
  return wanted;
}

AppError unreadable(const std::string& message, std::size_t bytes) {
  if (bytes > chat::kMostFileBytes) return {.status = 413, .code = "too_large", .message = message};
  return {.status = 415, .code = "unsupported_file", .message = message};
}

Json sent_file_json(App& app, const chat::File& file, ModelWait& wait) {
  Json json = file_json(file);
  const auto model = app.model_for({}, wait);
  json["indexed"] = model.has_value() && file.tokens > most_file_tokens((*model)->context_length());
  return json;
}

Response no_file(const std::string& id) {
  return error_reply(not_found(fmt::format("there is no file {:?} here", id)));
}

}  // namespace

Reply put_file(App& app, const Call& call) {
  const Request& request = call.request();
  const auto wanted = read_wanted(call);
  if (!wanted) return error_reply(wanted.error());
  if (!equal_ignoring_case(request.header("content-type"), "application/octet-stream"))
    return error_reply(bad_request("", "expected the file's bytes, with Content-Type application/octet-stream"));
  auto text = chat::read_file_text(request.body);
  if (!text) return error_reply(unreadable(text.error().message, request.body.size()));
  const auto model = app.model_for({}, call.wait());
  if (!model) return error_reply(model.error());
  chat::NewFile file{.id = call.value(0),
                     .name = wanted->name,
                     .kind = wanted->pdf ? "pdf" : std::string(chat::kind_of_file(wanted->name)),
                     .bytes = static_cast<std::int64_t>(request.body.size()),
                     .tokens = static_cast<std::int64_t>((*model)->tokenizer().encode(*text, false).size()),
                     .text = std::move(*text)};
  file.made_of = digest_of({{"name", file.name}, {"kind", file.kind}, {"text", file.text}});
  const auto kept = (wanted->temporary ? app.temporary() : app.kept()).keep_file(file);
  if (!kept) return error_reply(from_refusal(kept.error()));
  return json_response(200, sent_file_json(app, kept->value, call.wait()));
}

Reply get_file(App& app, const Call& call) {
  for (const chat::Store* store : app.stores()) {
    if (const auto file = store->file(call.value(0))) return json_response(200, sent_file_json(app, *file, call.wait()));
  }
  return no_file(call.value(0));
}

Reply get_file_text(App& app, const Call& call) {
  constexpr std::int64_t kEnd = std::int64_t{1} << 40;
  const auto from = call.query_integer("from", 0, kEnd, 0);
  if (!from) return error_reply(from.error());
  const auto to = call.query_integer("to", *from, kEnd, kEnd);
  if (!to) return error_reply(to.error());
  for (const chat::Store* store : app.stores()) {
    if (auto text = store->file_text(call.value(0), *from, *to))
      return Response{.content_type = "text/plain; charset=utf-8", .body = std::move(*text)};
  }
  return no_file(call.value(0));
}

Reply remove_file(App& app, const Call& call) {
  for (chat::Store* store : app.stores()) {
    if (const auto removed = store->remove_file(call.value(0)); !removed)
      return error_reply(from_refusal(removed.error()));
  }
  return Response{.status = 204};
}

}  // namespace fathom::server::app
