// The commands of a chat, the lines that begin with a slash.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "apps/chat_session.h"
#include "apps/commands.h"
#include "files/new_file.h"

namespace fathom::apps {

struct ChatSession::Command {
  std::string_view name, words, about;
  void (ChatSession::*run)(std::string_view words);
};

const ChatSession::Command ChatSession::kCommands[] = {
    {"/new", "", "begin a new conversation; the system prompt and the settings stay", &ChatSession::command_new},
    {"/retry", "", "answer the last question again", &ChatSession::command_retry},
    {"/system", "[TEXT|@FILE|none]", "show or set the system prompt", &ChatSession::command_system},
    {"/think", "[on|off|default]", "show or set whether the model thinks before it answers",
     &ChatSession::command_think},
    {"/set", "[NAME [VALUE]]", "show or set how answers are sampled; the value \"default\" is the model's own",
     &ChatSession::command_set},
    {"/save", "[F.json]", "save the conversation and its settings; /save! writes over another file",
     &ChatSession::command_save},
    {"/save!", "", "", &ChatSession::command_replace},
    {"/load", "F.json", "go on with a saved conversation", &ChatSession::command_load},
    {"/stats", "", "tokens, speed and how full the context is", &ChatSession::command_stats},
    {"/help", "", "show this", &ChatSession::command_help},
    {"/quit", "", "leave, as Ctrl-D does", &ChatSession::command_quit},
};

namespace {

std::string path_of(std::string_view words) {
  const char* home = std::getenv("HOME");
  if (words.starts_with("~/") && home != nullptr) return home + std::string(words.substr(1));
  return std::string(words);
}

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f} %", 100 * part / whole) : "-";
}

}  // namespace

std::vector<std::string> ChatSession::command_names() {
  std::vector<std::string> names;
  for (const Command& c : kCommands)
    if (!c.about.empty()) names.emplace_back(c.name);
  return names;
}

void ChatSession::run_command(std::string_view line) {
  const std::size_t space = std::min(line.find_first_of(" \n"), line.size());
  std::string_view words = line.substr(space);
  words.remove_prefix(std::min(words.find_first_not_of(" \n"), words.size()));
  for (const Command& c : kCommands)
    if (c.name == line.substr(0, space)) return (this->*c.run)(words);
  note(fmt::format("There is no command {}; /help lists them.", line.substr(0, space)));
}

void ChatSession::command_new(std::string_view) {
  conversation_.clear();
  file_.clear();
  note("A new conversation.");
}

void ChatSession::command_retry(std::string_view) {
  if (conversation_.empty()) return note("There is no question to answer again.");
  conversation_.take_back_answer();
  if (conversation_.empty()) return note("There is no question to answer again.");
  answer_question();
}

void ChatSession::command_system(std::string_view words) {
  if (words.empty())
    return note(conversation_.system().empty() ? "There is no system prompt." : conversation_.system());
  auto text = system_prompt(std::string(words == "none" ? "" : words));
  if (!text) return note(text.error().message);
  conversation_.set_system(std::move(*text));
  note(conversation_.system().empty() ? "The system prompt is gone." : "The system prompt is set.");
}

void ChatSession::command_think(std::string_view words) {
  if (!model_.chat_template().can_think()) return note("This model's template has no thoughts to switch on or off.");
  if (!words.empty()) {
    const std::string_view value = words == "on" ? "true" : words == "off" ? "false" : words;
    if (auto set = conversation_.settings.set("thinking", value); !set)
      return note(fmt::format("/think {}: expected on, off or default", words));
  }
  const auto& thinking = conversation_.settings.thinking;
  note(!thinking ? "Thinking is as the model's template has it." : *thinking ? "Thinking is on." : "Thinking is off.");
}

void ChatSession::command_set(std::string_view words) {
  ChatSettings& settings = conversation_.settings;
  if (words.empty()) {
    for (const std::string& row : settings.rows()) note(row);
    return;
  }
  const std::size_t end = std::min(words.find_first_of(" ="), words.size());
  const std::string_view name = words.substr(0, end);
  std::string_view value = words.substr(end);
  value.remove_prefix(std::min(value.find_first_not_of(" ="), value.size()));
  if (!value.empty())
    if (auto set = settings.set(name, value); !set) return note(set.error().message);
  const auto now = settings.value(name);
  note(now ? fmt::format("{} = {}", name, *now) : now.error().message);
}

void ChatSession::command_save(std::string_view words) {
  save(words, false);
}
void ChatSession::command_replace(std::string_view words) {
  save(words, true);
}

void ChatSession::save(std::string_view words, bool replace) {
  const std::string path = words.empty() ? file_ : path_of(words);
  if (path.empty()) return note("/save needs a name the first time: /save chat.json");
  std::error_code error;
  if (!replace && !own_files_.contains(path) && std::filesystem::exists(path, error))
    return note(fmt::format("{} is there already; /save! {} writes over it.", path, path));
  files::Json json = conversation_.to_json();
  json["model"] = model_.name();
  const std::string text = json.dump(2, ' ', false, files::Json::error_handler_t::replace) + "\n";
  auto file = files::NewFile::create(path);
  if (!file) return note(file.error().message);
  if (auto written = file->write(text); !written) return note(written.error().message);
  if (auto committed = file->commit(); !committed) return note(committed.error().message);
  file_ = path;
  own_files_.insert(path);
  note(fmt::format("Saved {} messages to {}.", conversation_.size(), path));
}

void ChatSession::command_load(std::string_view words) {
  if (words.empty()) return note("/load needs the file's name: /load chat.json");
  const std::string path = path_of(words);
  auto json = files::read_json(path);
  if (!json) return note(json.error().message);
  if (auto read = conversation_.from_json(*json); !read) return note(fmt::format("{}: {}", path, read.error().message));
  file_ = path;
  own_files_.insert(path);
  note(fmt::format("Loaded {} messages from {}.{}", conversation_.size(), path,
                   conversation_.empty() || conversation_.answered()
                       ? ""
                       : " The last question has no answer yet: /retry answers it."));
}

void ChatSession::command_stats(std::string_view) {
  const int context = model_.context_length();
  if (const auto used = prompt_tokens(conversation_.seen()); used && !conversation_.empty())
    note(fmt::format(
        "context      {} of {} tokens ({}){}", *used, context, percent(*used, context),
        conversation_.left_out() > 0 ? fmt::format(", without the {} oldest turns", conversation_.left_out()) : ""));
  else
    note(fmt::format("context      0 of {} tokens", context));
  if (totals_.answers == 0) return note("No answer yet.");
  const auto& s = last_.statistics;
  note(fmt::format("last prompt  {} tokens, {} of them kept from before", s.prompt_tokens, s.cached_tokens));
  const int read = s.prompt_tokens - s.cached_tokens;
  if (s.prefill_seconds > 0)
    note(fmt::format("reading      {:.1f} tokens/s ({} tokens in {:.2f} s)", read / s.prefill_seconds, read,
                     s.prefill_seconds));
  note(fmt::format("first text   after {:.2f} s", last_.first_seconds));
  if (s.decode_seconds > 0)
    note(fmt::format("writing      {:.1f} tokens/s ({} tokens in {:.2f} s)", s.generated_tokens / s.decode_seconds,
                     s.generated_tokens, s.decode_seconds));
  note(fmt::format("all answers  {}, {} tokens in {:.1f} s", totals_.answers, totals_.tokens, totals_.seconds));
}

void ChatSession::command_help(std::string_view) {
  for (const Command& c : kCommands)
    if (!c.about.empty()) note(fmt::format("{:26} {}", fmt::format("{} {}", c.name, c.words), c.about));
  note("Alt-Enter begins a new line of a question; what is pasted stays one question however many lines it has.");
  note(
      "Ctrl-C stops an answer and keeps it; twice leaves. A question that begins with a command's name: put a space "
      "before it.");
}

void ChatSession::command_quit(std::string_view) {
  leave_ = true;
}

}  // namespace fathom::apps
