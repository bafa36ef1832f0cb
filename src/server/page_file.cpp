// The page's files over HTTP. What a file holds is not looked at here: only its path, which says what may run in it.
#include "server/page_file.h"

#include <algorithm>

namespace fathom::server {

namespace {

// The page runs only what this server gave it and talks to nothing else. (Formulae are laid out with style attributes,
// which can run nothing.)
constexpr std::string_view kPagePolicy =
    "default-src 'self'; img-src 'self' data: blob:; style-src-attr 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// Code that a model wrote, shown in a frame of the page: its scripts run in an origin of their own and reach no
// network.
constexpr std::string_view kPreviewPath = "/preview.html";
constexpr std::string_view kPreviewPolicy =
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; media-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'";

// Names under here hold a hash of the content, so what they name never changes.
constexpr std::string_view kHashedFolder = "/assets/";
constexpr std::string_view kConversations = "/c/";

// Whether an Accept-Encoding takes this one: named, and not with a weight of nothing.
bool accepts(std::string_view header, std::string_view encoding) {
  while (!header.empty()) {
    const std::string_view item = header.substr(0, header.find(','));
    header.remove_prefix(std::min(item.size() + 1, header.size()));
    std::string name = lower_case(item);
    std::erase_if(name, [](char c) { return c == ' ' || c == '\t'; });
    const std::size_t weight = name.find(";q=");
    if (std::string_view(name).substr(0, name.find(';')) != encoding) continue;
    return weight == std::string::npos || name.find_first_of("123456789", weight) != std::string::npos;
  }
  return false;
}

}  // namespace

const PageFile* find_page_file(std::span<const PageFile> page, std::string_view path) {
  if (path.starts_with(kConversations) && path.find_first_of("./", kConversations.size()) == std::string_view::npos)
    path = "/";
  const auto found = std::ranges::find(page, path, &PageFile::path);
  return found == page.end() ? nullptr : &*found;
}

Response page_response(const PageFile& file, const Request& request) {
  const bool hashed = file.path.starts_with(kHashedFolder);
  const bool preview = file.path == kPreviewPath;
  Response response{.content_type = std::string(file.content_type),
                    .headers = {{"ETag", std::string(file.etag)},
                                {"Cache-Control", hashed ? "public, max-age=31536000, immutable" : "no-cache"},
                                {"Content-Security-Policy", std::string(preview ? kPreviewPolicy : kPagePolicy)},
                                {"Referrer-Policy", "no-referrer"}}};
  if (!file.gzip.empty() || !file.brotli.empty()) response.headers.push_back({"Vary", "Accept-Encoding"});
  if (request.header("if-none-match").contains(file.etag)) {
    response.status = 304;
    return response;
  }
  const std::string_view encodings = request.header("accept-encoding");
  if (!file.brotli.empty() && accepts(encodings, "br")) {
    response.headers.push_back({"Content-Encoding", "br"});
    response.body = file.brotli;
  } else if (!file.gzip.empty() && accepts(encodings, "gzip")) {
    response.headers.push_back({"Content-Encoding", "gzip"});
    response.body = file.gzip;
  } else {
    response.body = file.content;
  }
  return response;
}

}  // namespace fathom::server
