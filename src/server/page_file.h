// The files of the chat page, as the program carries them. cmake/embed_web.cmake writes embedded_page() from web/.
#pragma once

#include <span>
#include <string_view>

namespace fathom::server {

struct PageFile {
  std::string_view path;  // "/app.js"; the page itself is "/"
  std::string_view content_type;
  std::string_view etag;  // with its quotes
  std::string_view content;
};

std::span<const PageFile> embedded_page();  // in the library fathom_web

}  // namespace fathom::server
