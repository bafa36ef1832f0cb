#include "server/app/sources.h"

#include <algorithm>
#include <limits>

#include "server/app/app_json.h"

namespace fathom::server::app {

namespace {

// More than this takes a processor minutes to read before the first word of an answer.
constexpr int kMostWhole = 8192;
// Passages beyond these add little to what the best ones say.
constexpr int kMostPassages = 3000;
constexpr int kMostHits = 40;
constexpr std::size_t kMostHeader = 500;  // bytes of a table's first line

struct Span {
  std::int64_t from = 0, to = 0, first = 1, last = 1;
};

Json source_json(const chat::File& file, const Span& span) {
  return {{"title", file.name},  {"file_id", file.id}, {"unit", file.kind == "pdf" ? "page" : "line"},
          {"first", span.first}, {"last", span.last},  {"from", span.from},
          {"to", span.to}};
}

// All of a file: of a document each page by itself, so that it can be cited.
chat::Outcome<std::vector<Span>> whole(const chat::Store& store, const chat::File& file) {
  const auto parts = store.passages(file.id, "", std::numeric_limits<int>::max());
  if (!parts) return std::unexpected(parts.error());
  std::vector<Span> spans;
  for (const chat::FilePart& part : *parts) {
    if (spans.empty() || (file.kind == "pdf" && part.first != spans.back().first))
      spans.push_back({part.from, part.to, part.first, part.last});
    spans.back().to = part.to;
    spans.back().last = part.last;
  }
  return spans;
}

// What of a file fits the question, best first, and how the file begins, as much as `budget` tokens hold; in the
// file's order.
chat::Outcome<std::vector<Span>> best(const chat::Store& store, const chat::File& file, const std::string& question,
                                      const engine::LoadedModel& model, int budget) {
  auto parts = store.passages(file.id, question, kMostHits);
  if (!parts) return std::unexpected(parts.error());
  auto beginning = store.passages(file.id, "", 1);
  if (!beginning) return std::unexpected(beginning.error());
  if (!parts->empty()) parts->insert(parts->begin() + 1, std::move(beginning->front()));
  std::vector<Span> spans;
  for (const chat::FilePart& part : *parts) {
    if (std::ranges::find(spans, part.from, &Span::from) != spans.end()) continue;
    const auto tokens = static_cast<int>(model.tokenizer().encode(part.text, false).size());
    if (tokens > budget && !spans.empty()) break;
    budget -= tokens;
    spans.push_back({part.from, part.to, part.first, part.last});
  }
  std::ranges::sort(spans, {}, &Span::from);
  return spans;
}

std::string place_of(const Json& source) {
  const auto first = source.at("first").get<std::int64_t>(), last = source.at("last").get<std::int64_t>();
  const auto unit = source.at("unit").get<std::string>();
  return first == last ? fmt::format("{} {}", unit, first) : fmt::format("{}s {}-{}", unit, first, last);
}

// The names of a table's columns, for a passage further down.
chat::Outcome<std::string> header_of(const chat::Store& store, const Json& source) {
  const auto id = source.at("file_id").get<std::string>();
  if (source.at("from").get<std::int64_t>() == 0) return "";
  const auto file = store.file(id);
  if (!file) return std::unexpected(file.error());
  if (file->kind != "csv") return "";
  const auto text = store.file_text(id, 0, kMostHeader);
  if (!text) return std::unexpected(text.error());
  const std::size_t end = text->find('\n');
  return end == text->npos ? "" : text->substr(0, end + 1);
}

}  // namespace

int most_file_tokens(int context_length) {
  return std::min(context_length / 2, kMostWhole);
}

AppResult<Json> choose_sources(const chat::Store& store, const chat::Message& question,
                               const engine::LoadedModel& model) {
  std::int64_t left = most_file_tokens(model.context_length());
  // The small ones first: what they leave is the others' share.
  std::vector<std::size_t> order(question.files.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return question.files[i].tokens; });
  std::vector<std::vector<Span>> spans(order.size());
  for (std::size_t done = 0; done < order.size(); ++done) {
    const chat::File& file = question.files[order[done]];
    const std::int64_t share = left / static_cast<std::int64_t>(order.size() - done);
    const bool fits = file.tokens <= share;
    const auto budget = static_cast<int>(std::min<std::int64_t>(share, kMostPassages));
    auto chosen = fits ? whole(store, file) : best(store, file, question.content, model, budget);
    if (!chosen) return std::unexpected(from_refusal(chosen.error()));
    spans[order[done]] = std::move(*chosen);
    left -= fits ? file.tokens : budget;
  }
  Json sources = Json::array();
  for (std::size_t i = 0; i < spans.size(); ++i)
    for (const Span& span : spans[i]) sources.push_back(source_json(question.files[i], span));
  return sources;
}

AppResult<std::string> question_with_sources(const chat::Store& store, const std::string& question,
                                             const Json& sources) {
  std::string text, file;
  int number = 0;
  for (const Json& source : sources) {
    const auto id = source.at("file_id").get<std::string>();
    const auto part = store.file_text(id, source.at("from").get<std::int64_t>(), source.at("to").get<std::int64_t>());
    if (!part) return std::unexpected(from_refusal(part.error()));
    const auto header = header_of(store, source);
    if (!header) return std::unexpected(from_refusal(header.error()));
    if (id != file) text += fmt::format("[file name]: {}\n", source.at("title").get<std::string>());
    file = id;
    ++number;
    text += fmt::format("[file content {} begin] ({})\n{}{}{}[file content {} end]\n", number, place_of(source),
                        *header, *part, part->ends_with('\n') ? "" : "\n", number);
  }
  if (number == 0) return question;
  text +=
      "Where a sentence of the answer rests on one of these contents, put that content's number in brackets behind it, "
      "like [1].\n\n";
  return text + question;
}

AppResult<Json> put_files_into(std::vector<chat::Message>& path, const chat::Store& store,
                               const engine::LoadedModel& model) {
  Json last = nullptr;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i].files.empty()) continue;
    const bool given = i + 1 < path.size() && path[i + 1].sources;
    const auto sources =
        given ? AppResult<Json>(stored_json(*path[i + 1].sources)) : choose_sources(store, path[i], model);
    if (!sources) return sources;
    auto text = question_with_sources(store, path[i].content, *sources);
    if (!text) return std::unexpected(text.error());
    path[i].content = std::move(*text);
    if (i + 1 == path.size()) last = *sources;
  }
  return last;
}

}  // namespace fathom::server::app
