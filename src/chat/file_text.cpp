// iconv of the C library converts; what a legacy encoding is follows from what its letters would be.
#include "chat/file_text.h"

#include <iconv.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

namespace fathom::chat {

namespace {

// A file with more of these than one in so many characters is no text.
constexpr std::size_t kControlShare = 200;
// So much of what stands in two bytes has to be letters of the language.
constexpr double kLetterShare = 0.8;
// In a Western text few letters are beyond ASCII.
constexpr double kWesternShare = 0.3;

struct Magic {
  std::string_view start, name;
};
constexpr Magic kMagic[] = {
    {"%PDF-", "a PDF, whose text the page takes out before it sends it"},
    {"PK\x03\x04", "a ZIP archive or an office document"},
    {"\xD0\xCF\x11\xE0", "an office document of the old format"},
    {"\x89PNG", "a picture"},
    {"\xFF\xD8\xFF", "a picture"},
    {"GIF8", "a picture"},
    {"RIFF", "sound or a picture"},
    {"ID3", "sound"},
    {"\x1F\x8B", "compressed"},
    {"7z\xBC\xAF", "compressed"},
    {"\x7F"
     "ELF",
     "a program"},
    {"MZ\x90", "a program"},
    {"SQLite format 3", "a database"},
};

// Strict: a byte that is not of the encoding makes it nothing.
std::optional<std::string> converted(std::string_view bytes, const char* encoding) {
  iconv_t converter = iconv_open("UTF-8", encoding);
  if (converter == reinterpret_cast<iconv_t>(-1)) return std::nullopt;  // a system without that encoding
  std::string text;
  std::array<char, 16384> out;
  char* in = const_cast<char*>(bytes.data());  // iconv only reads it
  std::size_t left = bytes.size();
  bool good = true;
  while (good && left > 0) {
    char* to = out.data();
    std::size_t room = out.size();
    const std::size_t before = left;
    const bool stopped = iconv(converter, &in, &left, &to, &room) == static_cast<std::size_t>(-1);
    text.append(out.data(), out.size() - room);
    good = !stopped || (errno == E2BIG && (left < before || room < out.size()));
  }
  iconv_close(converter);
  return good ? std::optional(std::move(text)) : std::nullopt;
}

struct Count {
  std::size_t characters = 0, control = 0, ascii = 0, hangul = 0, han = 0;
};

// None where the text is not UTF-8.
std::optional<Count> count(std::string_view text) {
  Count count;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t code = -1;
    const auto size = utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (size <= 0) return std::nullopt;
    at += static_cast<std::size_t>(size);
    ++count.characters;
    if (code < 0x80) ++count.ascii;
    const bool blank = code == '\t' || code == '\n' || code == '\r' || code == '\f' || code == '\v' || code == 0x1B;
    if ((code < 0x20 && !blank) || (code >= 0x7F && code < 0xA0)) ++count.control;
    if (code >= 0xAC00 && code <= 0xD7A3) ++count.hangul;
    if (code >= 0x4E00 && code <= 0x9FFF) ++count.han;
  }
  return count;
}

bool is_text(std::string_view text, const Count& count) {
  return !text.contains('\0') && count.control <= count.characters / kControlShare;
}

// What no mark and no UTF-8 tells.
std::optional<std::string> from_legacy(std::string_view bytes) {
  const auto share = [](std::size_t part, std::size_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  // Read as the other's, Korean gives rare Han characters and Chinese a mixture of both, so either is told by its own.
  if (auto korean = converted(bytes, "CP949")) {
    const auto found = count(*korean);
    if (found && share(found->hangul, found->characters - found->ascii) >= kLetterShare) return korean;
  }
  if (auto chinese = converted(bytes, "GB18030")) {
    const auto found = count(*chinese);
    if (found && share(found->han, found->characters - found->ascii) >= kLetterShare) return chinese;
  }
  if (auto western = converted(bytes, "CP1252")) {
    const auto found = count(*western);
    if (found && share(found->characters - found->ascii, found->characters) <= kWesternShare) return western;
  }
  return std::nullopt;
}

void unify_line_ends(std::string& text) {
  if (!text.contains('\r')) return;
  std::string unified;
  unified.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool end = text[i] == '\r';
    if (end && i + 1 < text.size() && text[i + 1] == '\n') continue;
    unified += end ? '\n' : text[i];
  }
  text = std::move(unified);
}

std::optional<std::string> decoded(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE")) return converted(bytes.substr(2), "UTF-16LE");
  if (bytes.starts_with("\xFE\xFF")) return converted(bytes.substr(2), "UTF-16BE");
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (count(bytes)) return std::string(bytes);
  return bytes.contains('\0') ? std::nullopt : from_legacy(bytes);
}

}  // namespace

base::Result<std::string> read_file_text(std::string_view bytes) {
  if (bytes.size() > kMostFileBytes)
    return base::fail("the file has {} bytes; at most {} are read", bytes.size(), kMostFileBytes);
  for (const Magic& magic : kMagic)
    if (bytes.starts_with(magic.start)) return base::fail("the file is no text: it is {}", magic.name);
  auto text = decoded(bytes);
  const auto counted = text ? count(*text) : std::nullopt;
  if (!counted || !is_text(*text, *counted))
    return base::fail("the file is no text: expected UTF-8, UTF-16 with its mark, CP949, GB18030 or Windows-1252");
  unify_line_ends(*text);
  if (text->find_first_not_of(" \t\n\f\v") == std::string::npos) return base::fail("the file is empty");
  return std::move(*text);
}

std::string_view kind_of_file(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  std::string ending;
  for (const char c : name.substr(dot == name.npos ? name.size() : dot + 1))
    ending += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  constexpr std::string_view kMarkdown[] = {"md", "markdown", "mdx"};
  constexpr std::string_view kTables[] = {"csv", "tsv"};
  constexpr std::string_view kCode[] = {
      "c",     "h",    "cc",     "cpp",   "cxx",  "hpp",  "cu",   "rs",     "go",  "py",   "pyi",   "js",  "mjs",
      "cjs",   "ts",   "tsx",    "jsx",   "java", "kt",   "kts",  "cs",     "rb",  "php",  "swift", "m",   "mm",
      "scala", "lua",  "r",      "jl",    "sh",   "bash", "zsh",  "ps1",    "pl",  "sql",  "html",  "htm", "css",
      "xml",   "json", "yaml",   "yml",   "toml", "ini",  "tex",  "svelte", "vue", "hs",   "ml",    "ex",  "exs",
      "erl",   "clj",  "gradle", "cmake", "diff", "zig",  "dart", "asm",    "s",   "ipynb"};
  const auto is_one_of = [&](const auto& endings) {
    return std::ranges::find(endings, std::string_view(ending)) != std::end(endings);
  };
  return is_one_of(kMarkdown) ? "markdown" : is_one_of(kTables) ? "csv" : is_one_of(kCode) ? "code" : "text";
}

}  // namespace fathom::chat
