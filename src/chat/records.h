// What the chat app keeps, as plain values. Ids are made by whoever makes the thing, times are milliseconds since 1970
// UTC; options and usage are JSON texts whose fields the store does not know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fathom::chat {

struct Conversation {
  std::string id;
  std::string title;
  std::string title_by;  // "question", "model" or "person"
  bool pinned = false;
  std::optional<std::string> leaf_id;
  std::string options = "{}";
  std::int64_t created_at = 0;
  std::int64_t updated_at = 0;
  std::optional<std::int64_t> deleted_at;
  std::int64_t revision = 1;
  std::optional<std::string> run_id;  // the run that is under way in it
};

struct NewConversation {
  std::string id;
  std::string title;
  std::string title_by = "person";
  std::string options = "{}";
  std::string made_of;  // a digest of the request: the same again is a repetition, another one takes the id for itself
};

struct ConversationPatch {
  std::optional<std::string> title;  // by a person
  std::optional<bool> pinned;
  std::optional<std::string> leaf_id;
  std::optional<std::string> options;  // a JSON merge patch
};

struct RunError {
  std::string code;
  std::string message;
};

// A file that a person attached. It belongs to a conversation from the first question on that it comes with.
struct File {
  std::string id;
  std::optional<std::string> conversation_id;
  std::string name;
  std::string kind;         // "text", "markdown", "code", "csv", "pdf"
  std::int64_t bytes = 0;   // as it was sent
  std::int64_t tokens = 0;  // of its text
  std::string excerpt;      // how it begins
  std::int64_t created_at = 0;
};

struct NewFile {
  std::string id;
  std::string name;
  std::string kind;
  std::int64_t bytes = 0;
  std::int64_t tokens = 0;
  std::string text;     // UTF-8; pages of a PDF are parted by form feeds
  std::string made_of;  // a digest of what was sent
};

// A part of a file's text: bytes `from` to `to`, lines or pages `first` to `last`.
struct FilePart {
  std::int64_t from = 0, to = 0;
  std::int64_t first = 1, last = 1;
  std::string text;
};

struct Message {
  std::string id;
  std::string conversation_id;
  std::optional<std::string> parent_id;
  std::string role;  // "user" or "assistant"
  std::string content;
  std::optional<std::string> reasoning;
  std::optional<double> reasoning_seconds;
  std::string status = "done";  // "running", "stopped", "length", "interrupted", "failed"
  std::optional<RunError> error;
  std::optional<std::string> model;
  std::optional<std::string> usage;   // JSON
  std::optional<std::string> run_id;  // while it is running
  bool by_person = false;
  std::int64_t created_at = 0;
  std::vector<File> files;             // of a question
  std::optional<std::string> sources;  // JSON: what an answer was given of the files, in the order of its numbers
};

struct NewMessage {
  std::string id;
  std::string conversation_id;
  std::optional<std::string> parent_id;
  std::string role;
  std::string content;
  std::vector<std::string> file_ids = {};
};

struct Draft {
  std::string text;
  std::string file_ids = "[]";  // JSON
  std::int64_t updated_at = 0;
};

struct Preset {
  std::string id;
  std::string name;
  std::string options;  // JSON
};

// One answer being made. Where it continues an answer, that answer's text lies before `from`.
struct Run {
  std::string id;
  std::string conversation_id;
  std::string message_id;
  std::string status = "running";
  std::string model;
  std::optional<RunError> error;
  std::optional<std::string> usage;
  struct Span {
    std::int64_t from = 0, to = 0;  // bytes of the message's text that are this run's
  };
  Span reasoning, content;
  bool thought = false;  // the reasoning came to its end within this run
  std::int64_t reasoning_tokens = 0, tokens = 0;
  std::int64_t created_at = 0;
};

struct NewRun {
  std::string id;
  NewConversation conversation;        // made of it where it is not there; otherwise only its id counts
  std::optional<NewMessage> question;  // absent: another answer to `parent_id`, or `continues`
  std::optional<std::string> parent_id;
  bool continues = false;  // answer_id is there and goes on
  std::string answer_id;
  std::string model;
  std::optional<std::string> sources = {};  // of the answer, where it is a new one
  std::string made_of;
};

// How a run ended, with all of the message's text.
struct EndedRun {
  std::string id;
  std::string status;
  std::string content;
  std::optional<std::string> reasoning;
  std::optional<double> reasoning_seconds;
  bool thought = false;
  std::int64_t reasoning_tokens = 0, tokens = 0;
  std::optional<RunError> error;
  std::optional<std::string> usage;
};

struct ConversationPage {
  std::vector<Conversation> conversations;
  std::optional<std::string> next;  // gives the page after this one
};

struct Thread {
  Conversation conversation;
  std::vector<Message> messages;  // in the order in which they were made
  std::optional<Draft> draft;
};

struct Deleted {
  std::vector<std::string> ids;
  std::optional<std::int64_t> purge_at;  // none: gone already
};

struct TakenIn {
  std::int64_t conversations = 0, messages = 0;  // that are new, or have something new
  std::vector<std::string> skipped;              // a line each
};

// A text in pieces, some of them hits.
struct MarkedPiece {
  std::string text;
  bool hit = false;
};
using MarkedText = std::vector<MarkedPiece>;

struct Hit {
  std::string conversation_id;
  std::optional<std::string> message_id;  // none: only the title matched
  MarkedText title, snippet;
  std::int64_t at = 0;
};

}  // namespace fathom::chat
