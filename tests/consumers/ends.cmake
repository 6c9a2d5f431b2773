# SPDX-License-Identifier: MIT
# cmake -DPROGRAM=path -DMODE=mode -DRESULT=pattern -DTEXT=text -P ends.cmake
# The program must end with a result (an exit status, or what CMake calls a signal) and exactly this line on standard error.
execute_process(COMMAND "${PROGRAM}" "${MODE}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE words)
if(NOT result MATCHES "^(${RESULT})$")
    message(FATAL_ERROR "It ended with '${result}', not with '${RESULT}', and said:\n${words}")
endif()
if(NOT words STREQUAL "${TEXT}\n")
    message(FATAL_ERROR "It said:\n${words}\nand not:\n${TEXT}")
endif()
if(NOT output STREQUAL "")
    message(FATAL_ERROR "It wrote to standard output:\n${output}")
endif()
