# A script (cmake -P): writes OUTPUT, a C++ source that holds the files under FOLDER as server::embedded_page() gives
# them. A file beside X called X.gz or X.br is X compressed. index.html is given at "/". The type of a file follows from
# its ending; one that is not listed is an error. The assembler reads the bytes: a compiler would take minutes to.
set(type_html "text/html; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_png "image/png")
set(type_txt "text/plain; charset=utf-8")
set(type_bcmap "application/octet-stream")
set(type_woff2 "font/woff2")
set(type_webmanifest "application/manifest+json")

set(assembly "")
set(names "")
set(rows "")
set(number 0)

# embed(NAME PATH VARIABLE): the bytes of PATH, or nothing if it is not there; VARIABLE becomes a string_view of them.
macro(embed name path variable)
  set(${variable} "{}")
  if(EXISTS ${path})
    string(APPEND assembly "    \".globl ${name}\\n${name}: .incbin \\\"${path}\\\"\\n\"\n    \".globl ${name}_end\\n${name}_end: .byte 0\\n\"\n")
    string(APPEND names "extern const char ${name}[], ${name}_end[];\n")
    set(${variable} "bytes(${name}, ${name}_end)")
  endif()
endmacro()

file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/*)
list(FILTER files EXCLUDE REGEX "[.](gz|br)$")
list(SORT files)
foreach(file IN LISTS files)
  string(REGEX MATCH "[^.]+$" ending ${file})
  if(NOT DEFINED type_${ending})
    message(FATAL_ERROR "${file}: no content type is known for .${ending}; add it to cmake/embed_files.cmake")
  endif()
  file(SHA256 ${FOLDER}/${file} digest)
  string(SUBSTRING ${digest} 0 16 tag)
  set(path "/${file}")
  if(file STREQUAL "index.html")
    set(path "/")
  endif()
  embed(fathom_page_${number} ${FOLDER}/${file} plain)
  embed(fathom_page_${number}_gz ${FOLDER}/${file}.gz gzip)
  embed(fathom_page_${number}_br ${FOLDER}/${file}.br brotli)
  string(APPEND rows "      {\"${path}\", \"${type_${ending}}\", \"\\\"${tag}\\\"\", ${plain}, ${gzip}, ${brotli}},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Written by cmake/embed_files.cmake.
#include \"server/page_file.h\"

asm(\".section .rodata\\n\"
${assembly}    \".text\\n\");

extern \"C\" {
${names}}

namespace fathom::server {

namespace {

std::string_view bytes(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

std::span<const PageFile> embedded_page() {
  static const PageFile page[] = {
${rows}  };
  return page;
}

}  // namespace fathom::server
")
