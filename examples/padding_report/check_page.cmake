# SPDX-License-Identifier: MIT
# Writes a page, checks it, and compiles the lines of C++ that the report recommends. Called by ctest:
#
#   cmake -DPROGRAM=... -DCHECK_PAGE=... -DINPUT=... [-DARGUMENTS=a;b] -DCOMPILER=... -DCOMPILER_ID=...
#         -DINCLUDE=... -DOUTPUT=... -P check_page.cmake
execute_process(
    COMMAND "${PROGRAM}" - ${ARGUMENTS} --html "${OUTPUT}.html"
    INPUT_FILE "${INPUT}"
    OUTPUT_VARIABLE printed
    COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CHECK_PAGE}" "${OUTPUT}.html" COMMAND_ERROR_IS_FATAL ANY)

# They stand alone in their lines, four columns in.
set(recommended 0)
set(source "#include <batten/batten.hpp>\n#include <batten/plan/batches.hpp>\n#include <batten/plan/best_fit.hpp>\n"
    "#include <batten/plan/tight.hpp>\n#include <cstddef>\n#include <vector>\nint main()\n{\n"
    "    const std::vector<std::size_t> lengths{1, 2, 3}\;\n")
string(JOIN "" source ${source})
while(printed MATCHES "\n    (auto [^\n]+)(.*)")
    string(APPEND source "    { ${CMAKE_MATCH_1} }\n")
    math(EXPR recommended "${recommended} + 1")
    set(printed "${CMAKE_MATCH_2}")
endwhile()
if(recommended LESS 2)
    message(FATAL_ERROR "recommends ${recommended} lines of C++:\n${printed}")
endif()
file(WRITE "${OUTPUT}.cpp" "${source}}\n")
if(COMPILER_ID MATCHES "GNU|Clang")
    execute_process(
        COMMAND "${COMPILER}" -std=c++20 -fsyntax-only "-I${INCLUDE}" "${OUTPUT}.cpp"
        COMMAND_ERROR_IS_FATAL ANY)
endif()
