# XGrammar, built apart (scripts/build_xgrammar.sh): a library of its own flags and warnings, the same for every preset.
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/build_xgrammar.sh
                OUTPUT_VARIABLE xgrammar_folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
add_library(xgrammar STATIC IMPORTED)
set_target_properties(xgrammar PROPERTIES IMPORTED_LOCATION ${xgrammar_folder}/libxgrammar.a)
target_include_directories(xgrammar SYSTEM INTERFACE ${xgrammar_folder}/include)
target_link_libraries(xgrammar INTERFACE Threads::Threads)
