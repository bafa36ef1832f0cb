#include "apps/chat_session.h"

#include <fmt/format.h>

#include <algorithm>

namespace fathom::apps {

using base::fail;
using base::Result;
using engine::FinishReason;
using tokens::Message;

namespace {

// An answer should have room for this many tokens, or for an eighth of a small context.
constexpr int kAnswerRoom = 256;
constexpr int kUnbroken = 1 << 20;  // columns of a file or pipe

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first));
}

// "/set top_p 0.9", but neither "/etc/hosts is which file?" nor "/".
bool is_command(std::string_view text) {
  if (!text.starts_with('/')) return false;
  const std::string_view word = text.substr(1, text.find_first_of(" \n") - 1);
  return !word.empty() && std::ranges::all_of(word, [](char c) { return (c >= 'a' && c <= 'z') || c == '!'; });
}

std::string turns_text(int turns) {
  return turns == 1 ? "oldest turn" : fmt::format("oldest {} turns", turns);
}

}  // namespace

Result<void> ChatSession::talk(const std::string& history_file) {
  auto signals = Signals::take_over();
  if (!signals) return std::unexpected(signals.error());
  signals_ = &*signals;
  auto editor = LineEditor::open(
      {.out = notes_, .history_file = history_file, .commands = command_names(), .styled = terminal_.styled}, *signals);
  if (!editor) return std::unexpected(editor.error());
  editor_ = editor->get();
  note(fmt::format("{}, context {} tokens{}. /help lists the commands, Ctrl-D leaves.", model_.name(),
                   model_.context_length(), model_.where().empty() ? "" : ", answered by " + model_.where()));
  while (take(editor_->read("> ", true))) continue;
  editor_ = nullptr;
  signals_ = nullptr;
  return {};
}

bool ChatSession::take(const LineEditor::Input& input) {
  const std::string text = trimmed(input.text);
  if (input.end == LineEditor::End::kLeave) {
    std::fputc('\n', notes_);
    return false;
  }
  if (input.end == LineEditor::End::kInterrupted) {
    if (!text.empty())
      interrupts_ = 0;  // it took back what was typed
    else if (++interrupts_ >= 2)
      return false;
    else
      note("Ctrl-C again leaves.");
    return true;
  }
  if (text.empty()) return true;
  interrupts_ = 0;
  if (is_command(input.text)) {
    run_command(text);
  } else {
    conversation_.ask(text);
    answer_question();
  }
  return !leave_;
}

Result<void> ChatSession::answer_once(std::string question) {
  conversation_.ask(std::move(question));
  const auto tokens = prompt_tokens(conversation_.seen());
  if (!tokens) return std::unexpected(tokens.error());
  if (*tokens >= model_.context_length())
    return fail("the question takes {} tokens, but the context holds {}: ask less at once, or raise --ctx", *tokens,
                model_.context_length());
  StreamPrinter printer(terminal_);
  auto answer = stream_answer(model_, question_of(conversation_.seen()), printer, nullptr);
  if (!answer) return std::unexpected(answer.error());
  if (!answer->error.empty()) return fail("{}", answer->error);
  const int generated = answer->statistics.generated_tokens;
  if (answer->finish == FinishReason::kLength && generated != conversation_.settings.max_tokens)
    return fail("the answer ends after {} tokens, because the context of {} is full", generated,
                model_.context_length());
  return {};
}

void ChatSession::answer_question() {
  if (!make_room()) {
    conversation_.take_back_question();
    return;
  }
  std::fputc('\n', notes_);
  std::fflush(notes_);
  bool more = stream(conversation_.seen(), false);
  while (more) {
    std::vector<Message> messages = conversation_.seen();
    messages.back().prefix = conversation_.answered();
    more = stream(messages, conversation_.answered());
  }
  std::fputc('\n', notes_);
}

// Lets the model answer, or go on with its last answer. True: the context was full, and the person wants it to go on
// without the oldest turns.
bool ChatSession::stream(const std::vector<Message>& messages, bool continues) {
  terminal_ = Terminal::of(stdout);
  StreamPrinter printer(terminal_);
  auto answer = stream_answer(model_, question_of(messages), printer, signals_);
  if (!answer) {
    note(answer.error().message);
    if (!continues) conversation_.take_back_question();
    return false;
  }
  leave_ = answer->leave;
  keep(*answer, continues);
  tell_end(*answer);
  return !leave_ && offer_to_go_on(*answer, continues);
}

void ChatSession::keep(const ChatAnswer& answer, bool continues) {
  last_ = answer;
  ++totals_.answers;
  totals_.tokens += answer.statistics.generated_tokens;
  totals_.seconds += answer.statistics.decode_seconds;
  if (continues) {
    conversation_.extend_answer(answer.reasoning, answer.content);
  } else if (answer.has_text()) {
    conversation_.answer(answer.reasoning, answer.content);
  } else {
    conversation_.take_back_question();  // two questions in a row are no conversation
  }
}

// Where an answer ended because the context was full.
bool ChatSession::offer_to_go_on(const ChatAnswer& answer, bool continues) {
  const bool full =
      answer.finish == FinishReason::kLength && answer.statistics.generated_tokens != conversation_.settings.max_tokens;
  if (!full || !conversation_.answered()) return false;
  const int turns = turns_to_leave_out(true);
  if (turns == 0) {
    note(
        fmt::format("The context of {} tokens is full, and there is no older turn whose leaving out would make room: "
                    "the answer ends here. /new begins a new conversation.",
                    model_.context_length()));
    return false;
  }
  if (!offer_to_leave_out(model_.context_length(), turns, true)) return false;
  // A thought cannot be gone on with: the question is asked again, with more room.
  if (answer.content.empty() && !continues) conversation_.take_back_answer();
  return true;
}

void ChatSession::tell_end(const ChatAnswer& answer) {
  switch (answer.finish) {
    case FinishReason::kExpired:
    case FinishReason::kFailed:
      note(answer.error);
      break;
    case FinishReason::kCancelled:
      interrupts_ = 1;
      note(answer.has_text() ? "(stopped; Ctrl-C again leaves)"
                             : "(stopped before an answer came: the question is not kept. Ctrl-C again leaves)");
      break;
    case FinishReason::kLength:
      if (answer.statistics.generated_tokens == conversation_.settings.max_tokens)
        note(fmt::format("(stopped after max_tokens = {})", conversation_.settings.max_tokens));
      break;
    default:
      if (!answer.has_text()) note("(the model answered nothing)");
  }
}

ChatQuestion ChatSession::question_of(std::vector<Message> messages) const {
  const ChatSettings& settings = conversation_.settings;
  return {.messages = std::move(messages),
          .thinking = settings.thinking,
          .sampling = settings.sampling(conversation_.attempts()),
          .max_tokens = settings.max_tokens};
}

Result<tokens::Rendered> ChatSession::render(const std::vector<Message>& messages) const {
  return model_.chat_template().render(messages, {.thinking = conversation_.settings.thinking});
}

Result<int> ChatSession::prompt_tokens(const std::vector<Message>& messages) const {
  auto rendered = render(messages);
  if (!rendered) return std::unexpected(rendered.error());
  return static_cast<int>(model_.tokenizer().encode(rendered->prompt).size());
}

int ChatSession::least_room() const {
  return std::min(kAnswerRoom, model_.context_length() / 8 + 1);
}

// Whether the conversation leaves room for an answer, if need be without its oldest turns and with the person's
// consent.
bool ChatSession::make_room() {
  const auto tokens = prompt_tokens(conversation_.seen());
  if (!tokens) {
    note(tokens.error().message);
    return false;
  }
  if (*tokens + least_room() <= model_.context_length()) return true;
  const int turns = turns_to_leave_out(false);
  if (turns > 0) return offer_to_leave_out(*tokens, turns, false);
  const auto alone = prompt_tokens(conversation_.seen_without(conversation_.seen_turns() - 1));
  note(
      fmt::format("This message alone takes {} of the context's {} tokens, which leaves no room for an answer. Ask "
                  "less at once, or start with a larger --ctx.",
                  alone ? *alone : *tokens, model_.context_length()));
  return false;
}

// The fewest of the oldest turns without which half of the context is free, so that the question does not come up again
// at once; else all but the last, if an answer has room then; else 0.
int ChatSession::turns_to_leave_out(bool continues) const {
  const int turns = conversation_.seen_turns();
  for (int out = 1; out < turns; ++out) {
    std::vector<Message> messages = conversation_.seen_without(out);
    messages.back().prefix = continues;
    const auto tokens = prompt_tokens(messages);
    if (!tokens) return 0;
    if (*tokens <= model_.context_length() / 2 ||
        (out + 1 == turns && *tokens + least_room() <= model_.context_length()))
      return out;
  }
  return 0;
}

bool ChatSession::offer_to_leave_out(int tokens, int turns, bool midway) {
  note(fmt::format("The context is full: this conversation takes {} of {} tokens{}.", tokens, model_.context_length(),
                   midway ? ", and the answer is not finished" : ""));
  if (!confirm(fmt::format("Go on without the {}, which /save still keeps? [Y/n] ", turns_text(turns)))) {
    note("Then nothing is left out. /new begins a new conversation, /save F.json keeps this one.");
    return false;
  }
  conversation_.leave_out(turns);
  return true;
}

void ChatSession::note(std::string_view text) const {
  const Span span{printable(text), kDim};
  const Terminal screen = Terminal::of(notes_);
  for (const std::string& row : wrap({&span, 1}, {screen.live ? screen.columns - 1 : kUnbroken, "", "", screen.styled}))
    fmt::print(notes_, "{}\n", row);
  std::fflush(notes_);
}

bool ChatSession::confirm(const std::string& question) {
  const auto input = editor_->read(question, false);
  if (input.end == LineEditor::End::kLeave) leave_ = true;
  const std::string word = trimmed(input.text);
  return input.end == LineEditor::End::kLine && (word.empty() || word == "y" || word == "Y" || word == "yes");
}

}  // namespace fathom::apps
