#include "apps/terminal.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cstring>

#include "tokens/utf8.h"

namespace fathom::apps {

namespace utf8 = tokens::utf8;

namespace {

// Below this, wrapping is of no use and arithmetic on widths goes wrong.
constexpr int kLeastColumns = 20;
constexpr int kLeastRows = 4;
constexpr int kTabColumns = 4;
constexpr int kLeastRoom = 8;  // beside the deepest indentation

int width_of(char32_t code) {
  if (code == '\t') return kTabColumns;
  return utf8proc_charwidth(static_cast<utf8proc_int32_t>(code));
}

// Ideographs and kana may stand at a row's end or beginning; Hangul keeps its words whole, like Latin.
bool breaks_beside(char32_t code) {
  const bool hangul =
      (code >= 0x1100 && code <= 0x11FF) || (code >= 0x3130 && code <= 0x318F) || (code >= 0xAC00 && code <= 0xD7A3);
  return width_of(code) > 1 && !hangul;
}

// Punctuation that must not begin a row.
bool closes(char32_t code) {
  return std::u32string_view(U"、。，．！？：；）」』】〉》").contains(code);
}

// One character as wrapping sees it.
struct Glyph {
  std::string text;
  int width = 0;
  unsigned style = kPlain;
  bool space = false, newline = false;
  bool breaks_beside = false;  // a row may end before or after it
  bool closes = false;         // a row may not begin with it
};

std::vector<Glyph> glyphs(std::span<const Span> spans) {
  std::vector<Glyph> all;
  for (const Span& span : spans)
    for (std::size_t at = 0; at < span.text.size();) {
      const auto unit = utf8::unit_at(span.text, at);
      const std::string bytes = span.text.substr(at, unit.size);
      at += unit.size;
      const bool tab = unit.code == '\t';
      const bool space = tab || unit.code == ' ', beside = space || breaks_beside(unit.code);
      all.push_back({.text = tab ? std::string(kTabColumns, ' ') : bytes,
                     .width = width_of(unit.code),
                     .style = span.style,
                     .space = space,
                     .newline = unit.code == '\n',
                     .breaks_beside = beside,
                     .closes = closes(unit.code)});
    }
  return all;
}

std::string codes(unsigned style) {
  std::string out = "\033[0";
  for (const auto& [bit, code] :
       {std::pair{kBold, ";1"}, {kDim, ";2"}, {kItalic, ";3"}, {kUnderline, ";4"}, {kStruck, ";9"}, {kCode, ";36"}})
    if (style & bit) out += code;
  return out + "m";
}

// Builds rows out of glyphs; keeps the one under way.
class Rows {
 public:
  explicit Rows(const Wrapping& wrapping) : wrapping_(wrapping) {}

  void add(const Glyph& glyph) {
    if (glyph.newline) return end_row(row_.size());
    if (!row_.empty() && !glyph.closes && !glyph.space && (glyph.breaks_beside || row_.back().breaks_beside))
      break_at_ = row_.size();
    if (width_ + glyph.width > room() && !row_.empty()) {
      if (glyph.space) {  // the row ends here anyway
        break_at_ = row_.size();
        return;
      }
      end_row(break_at_ > 0 ? break_at_ : row_.size());
      broken_ = true;
    }
    // A space at a row's beginning belongs to the break, unless the text itself began the row.
    if (glyph.space && row_.empty() && broken_) return;
    row_.push_back(glyph);
    width_ += glyph.width;
  }

  std::vector<std::string> finish() {
    end_row(row_.size());
    return std::move(rows_);
  }

 private:
  int room() const {
    return std::max(wrapping_.columns - columns_of(rows_.empty() ? wrapping_.first : wrapping_.rest), kLeastRoom);
  }

  // Rows end after `count` glyphs; the others begin the next.
  void end_row(std::size_t count) {
    std::size_t shown = count;
    while (count < row_.size() && shown > 0 && row_[shown - 1].space) --shown;
    rows_.push_back(text_of(shown));
    row_.erase(row_.begin(), row_.begin() + static_cast<std::ptrdiff_t>(count));
    width_ = 0;
    for (const Glyph& g : row_) width_ += g.width;
    break_at_ = 0;
    broken_ = false;
  }

  std::string text_of(std::size_t count) const {
    std::string out = rows_.empty() ? wrapping_.first : wrapping_.rest;
    unsigned style = kPlain;
    for (std::size_t i = 0; i < count; ++i) {
      if (wrapping_.styled && row_[i].style != style) out += codes(style = row_[i].style);
      out += row_[i].text;
    }
    if (style != kPlain) out += codes(kPlain);
    return out;
  }

  const Wrapping& wrapping_;
  std::vector<std::string> rows_;
  std::vector<Glyph> row_;
  int width_ = 0;
  std::size_t break_at_ = 0;  // glyphs of the row before which it may be broken; 0: nowhere
  bool broken_ = false;       // the row began because the one before was full
};

}  // namespace

void use_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
  for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"})
    if (std::setlocale(LC_CTYPE, name) != nullptr) return;
}

Terminal Terminal::of(std::FILE* out) {
  Terminal t;
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  t.live = isatty(fileno(out)) == 1 && term != nullptr && *term != '\0' && std::strcmp(term, "dumb") != 0;
  t.styled = t.live && (no_color == nullptr || *no_color == '\0');
  t.measure(out);
  return t;
}

void Terminal::measure(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return;
  columns = std::max<int>(size.ws_col, kLeastColumns);
  rows = std::max<int>(size.ws_row, kLeastRows);
}

std::string styled(std::string_view text, unsigned style, bool enabled) {
  if (!enabled || style == kPlain || text.empty()) return std::string(text);
  return codes(style).append(text).append(codes(kPlain));
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto unit = utf8::unit_at(text, at);
    if (unit.kind != utf8::Kind::kCharacter) {
      utf8::append(out, 0xFFFD);
    } else if (unit.code == '\n' || unit.code == '\t' ||
               (unit.code >= 0x20 && (unit.code < 0x7F || unit.code > 0x9F))) {
      out.append(text.substr(at, unit.size));
    } else if (unit.code != '\r') {  // of a line's end
      utf8::append(out, 0xFFFD);
    }
    at += unit.size;
  }
  return out;
}

int columns_of(std::string_view text) {
  int columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto unit = utf8::unit_at(text, at);
    columns += width_of(unit.code);
    at += unit.size;
  }
  return columns;
}

std::vector<std::string> wrap(std::span<const Span> spans, const Wrapping& wrapping) {
  Rows rows(wrapping);
  for (const Glyph& glyph : glyphs(spans)) rows.add(glyph);
  return rows.finish();
}

}  // namespace fathom::apps
