// A chat at the terminal: reads questions and commands, answers them, keeps the conversation, and says what happens
// when the context is full.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "apps/chat_answer.h"
#include "apps/chat_conversation.h"
#include "apps/terminal.h"
#include "apps/terminal_line_editor.h"
#include "apps/terminal_signals.h"

namespace fathom::apps {

class ChatSession {
 public:
  ChatSession(ChatModel& model, Conversation conversation)
      : model_(model),
        conversation_(std::move(conversation)),
        terminal_(Terminal::of(stdout)),
        notes_(terminal_.live ? stdout : stderr) {}

  // Until the person leaves. Errors: the terminal cannot be used.
  base::Result<void> talk(const std::string& history_file);
  // One question, its answer, and the end. Errors: no answer came, or not all of it.
  base::Result<void> answer_once(std::string question);

 private:
  struct Command;
  static const Command kCommands[];
  static std::vector<std::string> command_names();

  // What a person typed. False: leave.
  bool take(const LineEditor::Input& input);
  void run_command(std::string_view line);

  void answer_question();
  bool stream(const std::vector<tokens::Message>& messages, bool continues);
  void keep(const ChatAnswer& answer, bool continues);
  bool offer_to_go_on(const ChatAnswer& answer, bool continues);
  void tell_end(const ChatAnswer& answer);
  bool make_room();
  bool offer_to_leave_out(int tokens, int turns, bool midway);
  ChatQuestion question_of(std::vector<tokens::Message> messages) const;
  base::Result<tokens::Rendered> render(const std::vector<tokens::Message>& messages) const;
  base::Result<int> prompt_tokens(const std::vector<tokens::Message>& messages) const;
  int turns_to_leave_out(bool continues) const;
  int least_room() const;

  void note(std::string_view text) const;
  bool confirm(const std::string& question);

  void command_new(std::string_view words);
  void command_retry(std::string_view words);
  void command_system(std::string_view words);
  void command_think(std::string_view words);
  void command_set(std::string_view words);
  void command_save(std::string_view words);
  void command_replace(std::string_view words);
  void command_load(std::string_view words);
  void command_stats(std::string_view words);
  void command_help(std::string_view words);
  void command_quit(std::string_view words);
  void save(std::string_view words, bool replace);

  ChatModel& model_;
  Conversation conversation_;
  Terminal terminal_;
  std::FILE* notes_;  // where the program's own words go
  Signals* signals_ = nullptr;
  LineEditor* editor_ = nullptr;
  bool leave_ = false;
  int interrupts_ = 0;               // Ctrl-C one after the other
  std::string file_;                 // that the conversation was last saved to or loaded from
  std::set<std::string> own_files_;  // that this chat wrote or read, and may write over

  struct Totals {
    int answers = 0;
    std::int64_t tokens = 0;
    double seconds = 0;  // of decoding
  } totals_;
  ChatAnswer last_;  // for /stats
};

}  // namespace fathom::apps
