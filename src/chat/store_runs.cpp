// Runs: a question, the empty answer and the run begin in one transaction; text is appended as it comes; the end puts
// all of it into the message.
#include "chat/store.h"
#include "chat/store_reader.h"
#include "chat/utf8_cut.h"

namespace fathom::chat {

namespace {

constexpr std::size_t kQuestionTitle = 80;  // bytes of a question that make a conversation's first title

// The first words of a question, on one line.
std::string title_from(std::string_view question) {
  std::string line;
  for (const char c : question.substr(0, 4 * kQuestionTitle)) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  std::string title = cut_utf8(line, kQuestionTitle);
  if (const auto space = title.rfind(' '); title.size() < line.size() && space != std::string::npos && space > 0)
    title.resize(space);
  while (title.ends_with(' ')) title.pop_back();
  return title;
}

Outcome<Conversation> conversation_for(Database& database, const NewRun& wanted, std::int64_t now) {
  if (auto found = find_conversation(database, wanted.conversation.id)) {
    if (found->deleted_at) return no_such("conversation", found->id);
    if (found->run_id)
      return refuse(Problem::kRunInProgress, "an answer is being made in this conversation", *found->run_id);
    return std::move(*found);
  }
  if (!wanted.question || wanted.parent_id) return no_such("conversation", wanted.conversation.id);
  const bool titled = !wanted.conversation.title.empty();
  Conversation made{.id = wanted.conversation.id,
                    .title = titled ? wanted.conversation.title : title_from(wanted.question->content),
                    .title_by = titled ? "person" : "question",
                    .options = wanted.conversation.options,
                    .created_at = now,
                    .updated_at = now};
  insert(database, made, wanted.conversation.made_of);
  return made;
}

// The answer that a run goes on with: made running, and where its text ends now.
Outcome<Run> continue_answer(Database& database, const NewRun& wanted) {
  const auto answer = find_message(database, wanted.answer_id);
  if (!answer || answer->conversation_id != wanted.conversation.id) return no_such("message", wanted.answer_id);
  const bool open = answer->status == "stopped" || answer->status == "length" || answer->status == "interrupted";
  if (answer->role != "assistant" || !open)
    return refuse(Problem::kNotContinuable, "only an answer that was cut off can be continued");
  database.run(
      "UPDATE message SET status = 'running', run_id = ?2, model = ?3, usage = NULL, error_code = NULL, error_message "
      "= "
      "NULL WHERE id = ?1",
      wanted.answer_id, wanted.id, wanted.model);
  const auto reasoning = static_cast<std::int64_t>(answer->reasoning.value_or("").size());
  const auto content = static_cast<std::int64_t>(answer->content.size());
  return Run{.reasoning = {reasoning, reasoning}, .content = {content, content}};
}

// The files of a question, from now on its conversation's.
Outcome<std::vector<File>> attach(Database& database, const std::vector<std::string>& ids,
                                  const std::string& conversation) {
  std::vector<File> files;
  for (const std::string& id : ids) {
    auto file = find_file(database, id);
    if (!file || file->conversation_id.value_or(conversation) != conversation) return no_such("file", id);
    database.run("UPDATE file SET conversation_id = ?2 WHERE id = ?1", id, conversation);
    files.push_back(std::move(*file));
  }
  return files;
}

// A new question, or none, and the empty answer to it.
Outcome<Run> begin_answer(Database& database, const NewRun& wanted, std::int64_t now) {
  for (const std::string* id : {&wanted.answer_id, wanted.question ? &wanted.question->id : &wanted.answer_id}) {
    if (find_message(database, *id))
      return refuse(Problem::kIdTaken, fmt::format("another message has the id {:?}", *id));
  }
  std::optional<std::string> parent = wanted.parent_id;
  if (parent) {
    const auto found = find_message(database, *parent);
    if (!found || found->conversation_id != wanted.conversation.id) return no_such("message", *parent);
    const std::string_view expected = wanted.question ? "assistant" : "user";
    if (found->role != expected)
      return refuse(Problem::kBadRequest, fmt::format("parent_id: {} needs the message of an {}",
                                                      wanted.question ? "a question" : "an answer",
                                                      wanted.question ? "answer before it" : "question"));
  }
  if (wanted.question) {
    auto files = attach(database, wanted.question->file_ids, wanted.conversation.id);
    if (!files) return std::unexpected(files.error());
    insert(database, Message{.id = wanted.question->id,
                             .conversation_id = wanted.conversation.id,
                             .parent_id = parent,
                             .role = "user",
                             .content = wanted.question->content,
                             .by_person = true,
                             .created_at = now,
                             .files = std::move(*files)});
    parent = wanted.question->id;
  }
  insert(database, Message{.id = wanted.answer_id,
                           .conversation_id = wanted.conversation.id,
                           .parent_id = parent,
                           .role = "assistant",
                           .status = "running",
                           .model = wanted.model,
                           .run_id = wanted.id,
                           .created_at = now,
                           .sources = wanted.sources});
  return Run{};
}

}  // namespace

Outcome<Made<Run>> Store::start(const NewRun& wanted) {
  return writer_->write<Made<Run>>([&, now = clock_()](Database& database) -> Outcome<Made<Run>> {
    if (auto found = find_run(database, wanted.id)) {
      Rows row = database.query("SELECT made_of FROM run WHERE id = ?", wanted.id);
      if (!row.next() || row.text_view(0) != wanted.made_of)
        return refuse(Problem::kIdTaken, fmt::format("another run has the id {:?}", wanted.id));
      return Made<Run>{std::move(*found), false};
    }
    const auto conversation = conversation_for(database, wanted, now);
    if (!conversation) return std::unexpected(conversation.error());
    auto run = wanted.continues ? continue_answer(database, wanted) : begin_answer(database, wanted, now);
    if (!run) return std::unexpected(run.error());
    run->id = wanted.id;
    run->conversation_id = wanted.conversation.id;
    run->message_id = wanted.answer_id;
    run->model = wanted.model;
    run->created_at = now;
    insert(database, *run, wanted.made_of);
    database.run(
        "UPDATE conversation SET leaf_id = ?2, run_id = ?3, updated_at = ?4, revision = revision + 1 WHERE id = ?1",
        wanted.conversation.id, wanted.answer_id, wanted.id, now);
    return Made<Run>{std::move(*run), true};
  });
}

void Store::append(const std::string& run, std::string reasoning, std::string content, std::int64_t tokens) {
  writer_->write_soon(
      [run, reasoning = std::move(reasoning), content = std::move(content), tokens](Database& database) {
        database.run("INSERT INTO run_piece(run_id, reasoning, content, tokens) VALUES (?, ?, ?, ?)", run, reasoning,
                     content, tokens);
      });
}

Outcome<Conversation> Store::end(const EndedRun& ended) {
  return writer_->write<Conversation>([&, now = clock_()](Database& database) -> Outcome<Conversation> {
    const auto run = find_run(database, ended.id);
    if (!run) return no_such("run", ended.id);  // its conversation was purged
    const auto code = ended.error ? std::optional(ended.error->code) : std::nullopt;
    const auto message = ended.error ? std::optional(ended.error->message) : std::nullopt;
    database.run(
        "UPDATE message SET status = ?2, content = ?3, reasoning = ?4, reasoning_seconds = ?5, error_code = ?6, "
        "error_message = ?7, usage = ?8, run_id = NULL WHERE run_id = ?1",
        ended.id, ended.status, ended.content, ended.reasoning, ended.reasoning_seconds, code, message, ended.usage);
    database.run(
        "UPDATE run SET status = ?2, error_code = ?3, error_message = ?4, usage = ?5, reasoning_to = ?6, content_to = "
        "?7, thought = ?8, reasoning_tokens = ?9, tokens = ?10 WHERE id = ?1",
        ended.id, ended.status, code, message, ended.usage,
        static_cast<std::int64_t>(ended.reasoning.value_or("").size()), static_cast<std::int64_t>(ended.content.size()),
        ended.thought, ended.reasoning_tokens, ended.tokens);
    database.run("DELETE FROM run_piece WHERE run_id = ?", ended.id);
    database.run("UPDATE conversation SET run_id = NULL, updated_at = ?2, revision = revision + 1 WHERE run_id = ?1",
                 ended.id, now);
    auto conversation = find_conversation(database, run->conversation_id);  // also a deleted one: it ends by that
    if (!conversation) return no_such("conversation", run->conversation_id);
    return std::move(*conversation);
  });
}

Outcome<Run> Store::run(const std::string& id) const {
  Reader reader = read();
  auto found = find_run(*reader, id);
  return reader.give<Run>(found ? Outcome<Run>(std::move(*found)) : no_such("run", id));
}

Outcome<Message> Store::message(const std::string& id) const {
  Reader reader = read();
  auto found = find_message(*reader, id);
  return reader.give<Message>(found ? Outcome<Message>(std::move(*found)) : no_such("message", id));
}

}  // namespace fathom::chat
