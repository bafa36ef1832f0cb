# embed_text(TARGET FILE NAMESPACE NAME): a text file as `extern const std::string_view NAMESPACE::NAME` in TARGET.
# Read when CMake configures; a changed file configures anew.
function(embed_text target file namespace name)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  file(READ ${file} text)
  file(CONFIGURE OUTPUT embedded/${name}.cpp @ONLY CONTENT [[
// Made by cmake/embed.cmake from @file@.
#include <string_view>

namespace @namespace@ {
extern const std::string_view @name@;
const std::string_view @name@ = R"embedded(@text@)embedded";
}  // namespace @namespace@
]])
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded/${name}.cpp)
endfunction()
