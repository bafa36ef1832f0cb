#include "apps/terminal_line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "apps/terminal_history.h"
#include "tokens/utf8.h"

namespace fathom::apps {

namespace utf8 = tokens::utf8;

namespace {

static_assert(sizeof(wchar_t) == 4, "wide characters are code points");

// Between these a terminal sends what was pasted.
constexpr wchar_t kPasteBegin[] = L"\033[200~";
constexpr std::wstring_view kPasteEnd = L"\033[201~";

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) utf8::append(out, static_cast<char32_t>(c));
  return out;
}

std::wstring widen(std::string_view text) {
  std::wstring out;
  for (std::size_t at = 0; at < text.size();) {
    const auto unit = utf8::unit_at(text, at);
    out += static_cast<wchar_t>(unit.code);
    at += unit.size;
  }
  return out;
}

// What a paste may put into a line: no control characters but tab and newline.
std::wstring cleaned(std::wstring_view pasted) {
  std::wstring out;
  for (const wchar_t c : pasted) {
    if (c == L'\r') {  // how terminals send a line's end
      out += L'\n';
    } else if (c == L'\n' || c == L'\t' || (c >= 0x20 && (c < 0x7F || c > 0x9F))) {
      out += c;
    }
  }
  if (out.ends_with(L'\n')) out.pop_back();  // Enter is the person's to press
  return out;
}

class EditLineEditor final : public LineEditor {
 public:
  EditLineEditor(Options options, Signals& signals) : options_(std::move(options)), signals_(signals) {}

  ~EditLineEditor() override {
    if (edit_ != nullptr) el_end(edit_);
    if (history_ != nullptr) history_wend(history_);
  }

  base::Result<void> start() {
    edit_ = el_init("fathom", stdin, options_.out, stderr);
    history_ = history_winit();
    if (edit_ == nullptr || history_ == nullptr) return base::fail("libedit cannot edit lines on this terminal");
    el_wset(edit_, EL_CLIENTDATA, this);
    el_wset(edit_, EL_SIGNAL, 0);
    el_wset(edit_, EL_EDITOR, L"emacs");
    el_wset(edit_, EL_GETCFN, &EditLineEditor::get_key);
    el_wset(edit_, EL_PROMPT_ESC, &EditLineEditor::prompt_of, L'\1');
    HistEventW event;
    history_w(history_, &event, H_SETSIZE, static_cast<int>(kHistoryLines));
    history_w(history_, &event, H_SETUNIQUE, 1);
    el_wset(edit_, EL_HIST, history_w, history_);
    bind_keys();
    el_source(edit_, nullptr);  // the person's own ~/.editrc
    if (!options_.history_file.empty())
      for (const std::string& line : read_history(options_.history_file))
        history_w(history_, &event, H_ENTER, widen(line).c_str());
    return {};
  }

  Input read(const std::string& prompt, bool remember) override {
    prompt_ = options_.styled ? L"\1\033[1m\1" + widen(prompt) + L"\1\033[0m\1" : widen(prompt);
    interrupted_ = leave_ = false;
    mode(true);
    int count = 0;
    const wchar_t* line = el_wgets(edit_, &count);
    mode(false);
    if (line == nullptr || count <= 0 || leave_) return {.end = End::kLeave};
    std::wstring_view text(line, static_cast<std::size_t>(count));
    if (text.ends_with(L'\n')) text.remove_suffix(1);
    Input input{.end = interrupted_ ? End::kInterrupted : End::kLine, .text = narrow(text)};
    if (remember && !interrupted_ && input.text.find_first_not_of(" \n\t") != std::string::npos) keep(input.text);
    return input;
  }

 private:
  static EditLineEditor& of(EditLine* edit) {
    void* self = nullptr;
    el_wget(edit, EL_CLIENTDATA, &self);
    return *static_cast<EditLineEditor*>(self);
  }
  static int get_key(EditLine* edit, wchar_t* key) { return of(edit).next_key(*key); }
  static wchar_t* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }

  void bind_keys() {
    const auto function = [this](const wchar_t* name, const wchar_t* what, unsigned char (*f)(EditLine*, wint_t)) {
      el_wset(edit_, EL_ADDFN, name, what, f);
    };
    const auto bind = [this](const wchar_t* key, const wchar_t* command) {
      el_wset(edit_, EL_BIND, key, command, nullptr);
    };
    function(L"paste", L"insert what the terminal pastes", [](EditLine* e, wint_t) { return of(e).paste(); });
    function(L"new-row", L"insert a newline", [](EditLine* e, wint_t) {
      return el_winsertstr(e, L"\n") == 0 ? static_cast<unsigned char>(CC_REFRESH)
                                          : static_cast<unsigned char>(CC_ERROR);
    });
    function(L"complete", L"complete a command", [](EditLine* e, wint_t) { return of(e).complete(); });
    bind(kPasteBegin, L"paste");
    for (const wchar_t* alt_enter : {L"\033\r", L"\033\n"}) bind(alt_enter, L"new-row");
    bind(L"\t", L"complete");
    bind(L"^R", L"em-inc-search-prev");
    bind(L"^W", L"ed-delete-prev-word");
    bind(L"\033[3~", L"ed-delete-next-char");
    bind(L"\033[1;5D", L"ed-prev-word");
    bind(L"\033[1;5C", L"em-next-word");
    for (const wchar_t* home : {L"\033[H", L"\033[1~", L"\033OH"}) bind(home, L"ed-move-to-beg");
    for (const wchar_t* end : {L"\033[F", L"\033[4~", L"\033OF"}) bind(end, L"ed-move-to-end");
  }

  // Bracketed paste on, and off again for whoever has the terminal next.
  void mode(bool editing) {
    std::fputs(editing ? "\033[?2004h" : "\033[?2004l", options_.out);
    std::fflush(options_.out);
  }

  void keep(const std::string& line) {
    HistEventW event;
    history_w(history_, &event, H_ENTER, widen(line).c_str());
    if (!options_.history_file.empty()) append_history(options_.history_file, line);
  }

  // libedit's way to a key: 1 and the key, 0 at the end of input, -1 on errors. Ctrl-C looks like Enter, which is the
  // key that makes libedit leave the line in good order; `read` knows better.
  int next_key(wchar_t& key) {
    for (;;) {
      if (take_character(key)) return 1;
      pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                        {.fd = signals_.fd(), .events = POLLIN, .revents = 0}};
      if (poll(waits, 2, -1) < 0 && errno != EINTR) return -1;
      while (const auto signal = signals_.next())
        if (!handle(*signal)) {
          pending_.clear();
          key = L'\n';
          return 1;
        }
      if (waits[0].revents == 0) continue;
      char bytes[4096];
      const auto n = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        leave_ = true;
        return n == 0 ? 0 : -1;
      }
      pending_.append(bytes, static_cast<std::size_t>(n));
    }
  }

  // The first character of what has come, if all of it has.
  bool take_character(wchar_t& key) {
    if (pending_.empty()) return false;
    const auto unit = utf8::unit_at(pending_, 0);
    if (unit.kind == utf8::Kind::kUnfinished) return false;
    key = static_cast<wchar_t>(unit.code);
    pending_.erase(0, unit.size);
    return true;
  }

  // Whether editing goes on.
  bool handle(Signals::Kind signal) {
    switch (signal) {
      case Signals::Kind::kInterrupt:
        interrupted_ = true;
        return false;
      case Signals::Kind::kEnd:
        leave_ = true;
        return false;
      case Signals::Kind::kResize:
        el_resize(edit_);
        break;
      case Signals::Kind::kSuspend:
        el_wset(edit_, EL_PREP_TERM, 0);
        mode(false);
        suspend();
        mode(true);
        el_wset(edit_, EL_PREP_TERM, 1);
        break;
    }
    el_wset(edit_, EL_REFRESH);
    return true;
  }

  unsigned char paste() {
    std::wstring pasted;
    while (!pasted.ends_with(kPasteEnd)) {
      wchar_t key = 0;
      if (el_wgetc(edit_, &key) != 1) return CC_EOF;
      if (interrupted_ || leave_) return CC_NEWLINE;
      pasted += key;
    }
    pasted.resize(pasted.size() - kPasteEnd.size());
    return el_winsertstr(edit_, cleaned(pasted).c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  unsigned char complete() {
    const LineInfoW* line = el_wline(edit_);
    const std::string typed = narrow({line->buffer, static_cast<std::size_t>(line->cursor - line->buffer)});
    std::vector<std::string> fitting;
    std::ranges::copy_if(options_.commands, std::back_inserter(fitting),
                         [&](const std::string& c) { return c.starts_with(typed); });
    if (typed.empty() || fitting.empty()) return CC_REFRESH_BEEP;
    std::string common = fitting[0];
    for (const std::string& c : fitting)
      common.resize(static_cast<std::size_t>(std::ranges::mismatch(common, c).in1 - common.begin()));
    if (fitting.size() == 1) common += ' ';
    if (common.size() == typed.size()) return CC_REFRESH_BEEP;
    return el_winsertstr(edit_, widen(common.substr(typed.size())).c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  Options options_;
  Signals& signals_;
  EditLine* edit_ = nullptr;
  HistoryW* history_ = nullptr;
  std::wstring prompt_;
  std::string pending_;  // bytes read and not yet taken
  bool interrupted_ = false, leave_ = false;
};

}  // namespace

base::Result<std::unique_ptr<LineEditor>> LineEditor::open(Options options, Signals& signals) {
  auto editor = std::make_unique<EditLineEditor>(std::move(options), signals);
  if (auto started = editor->start(); !started) return std::unexpected(started.error());
  return editor;
}

}  // namespace fathom::apps
