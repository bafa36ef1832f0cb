#include "files/hub_name.h"

#include "files/file_name.h"
#include "files/in_quotes.h"

namespace fathom::files {
namespace {

// The hub's own rule: letters, digits and -_. of at most 96, no "--" or "..", no dot or dash at either end.
bool is_hub_word(std::string_view word) {
  if (word.empty() || word.size() > 96) return false;
  for (const char c : word) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '-' && c != '_' && c != '.') return false;
  }
  if (word.find("--") != word.npos || word.find("..") != word.npos) return false;
  return std::string_view("-.").find(word.front()) == std::string_view::npos &&
         std::string_view("-.").find(word.back()) == std::string_view::npos;
}

// A branch, a tag, "refs/pr/3" or a commit.
bool is_revision(std::string_view text) {
  return text.size() <= 128 && is_plain_relative_path(text);
}

}  // namespace

std::string HubName::text() const {
  std::string out = "hf:" + repo_id();
  if (revision != "main") out += "@" + revision;
  if (!choice.empty()) out += ":" + choice;
  return out;
}

base::Result<HubName> parse_hub_name(std::string_view text) {
  const auto whole = text;
  if (text.starts_with("hf:")) text.remove_prefix(3);
  HubName name;
  if (const auto colon = text.find(':'); colon != text.npos) {
    name.choice = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_plain_relative_path(name.choice)) {
      return base::fail("{}: after the colon expected a quant such as Q4_K_M or the path of a file", in_quotes(whole));
    }
  }
  if (const auto at = text.find('@'); at != text.npos) {
    name.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_revision(name.revision))
      return base::fail("{}: after the @ expected a branch, tag or commit", in_quotes(whole));
  }
  const auto slash = text.find('/');
  if (slash == text.npos || !is_hub_word(text.substr(0, slash)) || !is_hub_word(text.substr(slash + 1))) {
    return base::fail("{}: expected hf:owner/repo, hf:owner/repo:QUANT or hf:owner/repo@revision:file",
                      in_quotes(whole));
  }
  name.owner = text.substr(0, slash);
  name.repo = text.substr(slash + 1);
  return name;
}

}  // namespace fathom::files
