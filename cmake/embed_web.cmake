# The chat page inside the program: scripts/build_web.sh builds web/, and its files become a source file with their bytes,
# types and ETags whenever one of them changes, in the library fathom_web (server/page_file.h). Include it after the
# folder `server`.
set(embedded_page ${CMAKE_BINARY_DIR}/generated/embedded_page.cpp)
set(build_web ${CMAKE_SOURCE_DIR}/scripts/build_web.sh)
file(GLOB_RECURSE web_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/src/* ${CMAKE_SOURCE_DIR}/web/public/*)
list(FILTER web_files EXCLUDE REGEX "/schema[.]d[.]ts$")  # written by the type check
foreach(file index.html vite.config.ts service_worker.js svelte.config.js package-lock.json)
  list(APPEND web_files ${CMAKE_SOURCE_DIR}/web/${file})
endforeach()

add_custom_command(
  OUTPUT ${embedded_page}
  COMMAND ${build_web}
  COMMAND ${CMAKE_COMMAND} "-DFOLDER=${CMAKE_SOURCE_DIR}/build/web" "-DOUTPUT=${embedded_page}" -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  DEPENDS ${web_files} ${build_web} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  COMMENT "Embedding the chat page"
  VERBATIM)

add_library(fathom_web STATIC ${embedded_page})
target_include_directories(fathom_web PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(fathom_server PUBLIC fathom_web)
