// The files of the chat page, as the program carries them. cmake/embed_web.cmake writes embedded_page() from web/.
#pragma once

#include <span>
#include <string_view>

#include "server/http.h"

namespace fathom::server {

struct PageFile {
  std::string_view path;  // "/app.js"; the page itself is "/"
  std::string_view content_type;
  std::string_view etag;  // with its quotes
  std::string_view content;
  std::string_view gzip, brotli;  // the same compressed, or empty
};

std::span<const PageFile> embedded_page();  // in the library fathom_web

// The file that a path names, nullptr where there is none. A conversation's address, /c/ID, is the page itself.
const PageFile* find_page_file(std::span<const PageFile> page, std::string_view path);

// The answer to GET: the smallest form that the client takes, what may run in it, and how long it may be kept.
Response page_response(const PageFile& file, const Request& request);

}  // namespace fathom::server
