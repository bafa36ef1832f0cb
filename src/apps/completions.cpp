#include "apps/completions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <vector>

#include "files/catalog.h"

namespace fathom::apps {
namespace {

// What may follow an option's name or stand at a command's place for words.
struct Value {
  bool wanted = false, file = false;
  std::vector<std::string> choices;
};

struct OptionWords {
  std::vector<std::string> names;  // "-p", "--prompt"
  std::string about;
  Value value;
};

struct CommandWords {
  std::vector<std::string> path;  // {"train", "sft"}; empty for the program
  std::string about;
  std::vector<OptionWords> options;
  Value words;  // of all its positionals
  std::vector<CommandWords> commands;

  std::string id() const { return fmt::format("{}", fmt::join(path, "/")); }
};

// The choices of CLI11's IsMember, which only its type name tells: "TEXT:{f32,bf16,q8}".
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> choices;
  const std::size_t open = type.find(":{"), close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos) return choices;
  for (const std::string& word : CLI::detail::split(type.substr(open + 2, close - open - 2), ','))
    choices.push_back(word);
  return choices;
}

Value value_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return {.wanted = option.get_items_expected_max() > 0, .file = type.starts_with("FILE"), .choices = choices_of(type)};
}

CommandWords words_of(const CLI::App& app, std::vector<std::string> path) {
  CommandWords c{.path = std::move(path), .about = app.get_description()};
  for (const CLI::Option* option : app.get_options()) {
    Value value = value_of(*option);
    if (option->get_positional()) {
      c.words.file |= value.file;
      if (option->get_single_name() == "MODEL")
        for (const auto& entry : files::catalog()) value.choices.push_back(entry.name);
      c.words.choices.insert(c.words.choices.end(), value.choices.begin(), value.choices.end());
    } else if (!option->get_group().empty()) {
      OptionWords words{.about = option->get_description(), .value = std::move(value)};
      for (const std::string& name : option->get_snames()) words.names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) words.names.push_back("--" + name);
      c.options.push_back(std::move(words));
    }
  }
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_group().empty()) continue;
    if (sub->get_name().empty()) {  // options that stand together, not a command
      CommandWords group = words_of(*sub, c.path);
      std::ranges::move(group.options, std::back_inserter(c.options));
      continue;
    }
    auto below = c.path;
    below.push_back(sub->get_name());
    c.commands.push_back(words_of(*sub, std::move(below)));
  }
  return c;
}

void for_each(const CommandWords& command, auto&& action) {
  action(command);
  for (const CommandWords& sub : command.commands) for_each(sub, action);
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

// In single quotes of a POSIX shell or zsh.
std::string quoted(const std::string& text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

std::vector<std::string> names_of(const std::vector<CommandWords>& commands) {
  std::vector<std::string> names;
  for (const CommandWords& c : commands) names.push_back(c.path.back());
  return names;
}

// --- bash ---

std::string bash(const CommandWords& root) {
  std::string paths, values, words;
  for_each(root, [&](const CommandWords& c) {
    if (!c.path.empty()) paths += fmt::format("      {}) command={} ;;\n", quoted("/" + c.id()), quoted("/" + c.id()));
    const std::string id = c.path.empty() ? "" : "/" + c.id();
    std::vector<std::string> names, plain = names_of(c.commands);
    for (const OptionWords& o : c.options) {
      names.insert(names.end(), o.names.begin(), o.names.end());
      if (!o.value.wanted) continue;
      std::vector<std::string> cases;
      for (const std::string& name : o.names) cases.push_back(quoted(id + " " + name));
      values +=
          fmt::format("    {})\n      _fathom_words {} {}; return ;;\n", fmt::join(cases, " | "),
                      o.value.file ? "files" : "words", quoted(fmt::format("{}", fmt::join(o.value.choices, " "))));
    }
    plain.insert(plain.end(), c.words.choices.begin(), c.words.choices.end());
    words += fmt::format("    {} | {}) _fathom_words words {} ;;\n", quoted(id + " -"), quoted(id + " --"),
                         quoted(fmt::format("{}", fmt::join(names, " "))));
    words += fmt::format("    {}) _fathom_words {} {} ;;\n", quoted(id + " "), c.words.file ? "files" : "words",
                         quoted(fmt::format("{}", fmt::join(plain, " "))));
  });
  return "# Completion of fathom for bash: source <(fathom completions bash)\n"
         "_fathom_words() {\n"
         "  COMPREPLY=($(compgen -W \"$2\" -- \"$word\"))\n"
         "  [ \"$1\" = files ] || return 0\n"
         "  compopt -o filenames 2>/dev/null\n"
         "  local file\n"
         "  while IFS= read -r file; do COMPREPLY+=(\"$file\"); done < <(compgen -f -- \"$word\")\n"
         "}\n"
         "_fathom() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \"$command/${COMP_WORDS[i]}\" in\n" +
         paths +
         "    esac\n"
         "  done\n"
         "  case \"$command $before\" in\n" +
         values +
         "  esac\n"
         "  local kind=\n"
         "  case $word in --*) kind=-- ;; -*) kind=- ;; esac\n"
         "  case \"$command $kind\" in\n" +
         words +
         "  esac\n"
         "}\n"
         "complete -F _fathom fathom\n";
}

// --- zsh ---

std::string zsh_function(const CommandWords& c) {
  return c.path.empty() ? "_fathom"
                        : fmt::format("_fathom_{}", replaced(fmt::format("{}", fmt::join(c.path, "_")), "-", "_"));
}

std::string zsh_about(std::string text) {
  for (const char* sign : {"\\", "[", "]", ":"}) text = replaced(std::move(text), sign, std::string("\\") + sign);
  return text;
}

// The part of an _arguments word that says what a value may be.
std::string zsh_value(const Value& value) {
  std::vector<std::string> words;
  for (const std::string& choice : value.choices) words.push_back(replaced(choice, ":", "\\:"));
  const std::string list = fmt::format("{}", fmt::join(words, " "));
  if (value.file && !words.empty()) return fmt::format("{{ compadd -- {}; _files }}", fmt::join(value.choices, " "));
  if (value.file) return "_files";
  return words.empty() ? " " : fmt::format("({})", list);
}

std::string zsh(const CommandWords& root) {
  std::string out = "#compdef fathom\n# Completion of fathom for zsh: source <(fathom completions zsh)\n";
  for_each(root, [&](const CommandWords& c) {
    std::string arguments;
    for (const OptionWords& o : c.options)
      for (const std::string& name : o.names)
        arguments +=
            fmt::format(" \\\n    {}", quoted(fmt::format("{}[{}]{}", name, zsh_about(o.about),
                                                          o.value.wanted ? ":value:" + zsh_value(o.value) : "")));
    out += zsh_function(c) + "() {\n";
    if (c.commands.empty()) {
      if (c.words.file || !c.words.choices.empty())
        arguments += fmt::format(" \\\n    {}", quoted("*:word:" + zsh_value(c.words)));
      out += "  _arguments" + arguments + "\n}\n";
      return;
    }
    out += "  local state line\n  typeset -A opt_args\n  _arguments -C" + arguments +
           " \\\n    '1:command:->command' '*::word:->words'\n";
    out += "  case $state in\n    command)\n      local -a commands\n      commands=(\n";
    for (const CommandWords& sub : c.commands)
      out += fmt::format("        {}\n", quoted(sub.path.back() + ":" + zsh_about(sub.about)));
    out += "      )\n      _describe command commands ;;\n    words)\n      case $line[1] in\n";
    for (const CommandWords& sub : c.commands)
      out += fmt::format("        {}) {} ;;\n", sub.path.back(), zsh_function(sub));
    out += "      esac ;;\n  esac\n}\n";
  });
  return out + "if [[ $funcstack[1] == _fathom ]]; then _fathom; else compdef _fathom fathom; fi\n";
}

// --- fish ---

std::string fish_quoted(const std::string& text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

std::string fish_condition(const CommandWords& c) {
  if (c.path.empty()) return "__fish_use_subcommand";
  std::vector<std::string> seen;
  for (const std::string& word : c.path) seen.push_back("__fish_seen_subcommand_from " + word);
  std::string condition = fmt::format("{}", fmt::join(seen, "; and "));
  if (!c.commands.empty())
    condition += fmt::format("; and not __fish_seen_subcommand_from {}", fmt::join(names_of(c.commands), " "));
  return condition;
}

std::string fish_value(const Value& value) {
  if (!value.wanted) return "";
  const std::string list =
      value.choices.empty() ? "" : " -a " + fish_quoted(fmt::format("{}", fmt::join(value.choices, " ")));
  return (value.file ? " -r -F" : " -x") + list;
}

std::string fish(const CommandWords& root) {
  std::string out = "# Completion of fathom for fish: fathom completions fish | source\ncomplete -c fathom -f\n";
  for_each(root, [&](const CommandWords& c) {
    const std::string start = fmt::format("complete -c fathom -n {}", fish_quoted(fish_condition(c)));
    for (const CommandWords& sub : c.commands)
      out += fmt::format("{} -a {} -d {}\n", start, sub.path.back(), fish_quoted(sub.about));
    for (const OptionWords& o : c.options) {
      std::string names;
      for (const std::string& name : o.names)
        names += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      out += fmt::format("{}{} -d {}{}\n", start, names, fish_quoted(o.about), fish_value(o.value));
    }
    if (c.words.file) out += start + " -F\n";
    if (!c.words.choices.empty())
      out += fmt::format("{} -a {}\n", start, fish_quoted(fmt::format("{}", fmt::join(c.words.choices, " "))));
  });
  return out;
}

}  // namespace

std::string completions(const CLI::App& app, std::string_view shell) {
  const CommandWords root = words_of(app, {});
  return shell == "bash" ? bash(root) : shell == "zsh" ? zsh(root) : fish(root);
}

}  // namespace fathom::apps
