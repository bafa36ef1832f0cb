# A script (cmake -P): writes OUTPUT, a C++ source that holds the FILES of FOLDER as server::embedded_page() gives them.
# An index.html is given at "/". The type of a file follows from its ending; one that is not listed is an error.
set(type_html "text/html; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_svg "image/svg+xml")

set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS FILES)
  string(REGEX MATCH "[^.]+$" ending ${file})
  if(NOT DEFINED type_${ending})
    message(FATAL_ERROR "${file}: no content type is known for .${ending}; add it to cmake/embed_files.cmake")
  endif()
  file(READ ${FOLDER}/${file} hex HEX)
  file(SHA256 ${FOLDER}/${file} digest)
  string(SUBSTRING ${digest} 0 16 tag)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  set(path "/${file}")
  if(file STREQUAL "index.html")
    set(path "/")
  endif()
  string(APPEND arrays "constexpr char kFile${number}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${path}\", \"${type_${ending}}\", \"\\\"${tag}\\\"\", {kFile${number}, sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Written by cmake/embed_files.cmake.
#include \"server/page_file.h\"

namespace fathom::server {

namespace {

${arrays}
constexpr PageFile kPage[] = {
${rows}};

}  // namespace

std::span<const PageFile> embedded_page() {
  return kPage;
}

}  // namespace fathom::server
")
