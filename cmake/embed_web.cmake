# The chat page inside the program: web/'s files become a source file with their bytes, types and ETags whenever one of
# them changes, in the library fathom_web (server/page_file.h). Include it after the folder `server`.
set(web_folder ${CMAKE_SOURCE_DIR}/web)
set(web_files index.html app.js style.css mark.svg)
list(TRANSFORM web_files PREPEND ${web_folder}/ OUTPUT_VARIABLE web_paths)

add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/generated/embedded_page.cpp
  COMMAND ${CMAKE_COMMAND} "-DFOLDER=${web_folder}" "-DFILES=${web_files}"
          "-DOUTPUT=${CMAKE_BINARY_DIR}/generated/embedded_page.cpp" -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  DEPENDS ${web_paths} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  COMMENT "Embedding the chat page"
  VERBATIM)

add_library(fathom_web STATIC ${CMAKE_BINARY_DIR}/generated/embedded_page.cpp)
target_include_directories(fathom_web PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(fathom_server PUBLIC fathom_web)
