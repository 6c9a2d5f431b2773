# SPDX-License-Identifier: MIT
# Runs a program and compares all that it prints with a file. Called by ctest:
#
#   cmake -DPROGRAM=... [-DARGUMENTS=a;b] -DEXPECTED=... [-DEXIT_CODE=1] -P compare.cmake
#
# Set BATTEN_UPDATE_EXPECTED in the environment to write the file instead, and then read the difference.
if(NOT DEFINED EXIT_CODE)
    set(EXIT_CODE 0)
endif()
execute_process(
    COMMAND "${PROGRAM}" ${ARGUMENTS}
    OUTPUT_VARIABLE printed
    ERROR_VARIABLE printed
    RESULT_VARIABLE exit_code)
string(REPLACE "\r\n" "\n" printed "${printed}")
if(DEFINED ENV{BATTEN_UPDATE_EXPECTED})
    file(WRITE "${EXPECTED}" "${printed}")
endif()
if(NOT exit_code STREQUAL EXIT_CODE)
    message(FATAL_ERROR "${PROGRAM} ended with ${exit_code}, not ${EXIT_CODE}. It printed\n${printed}")
endif()
file(READ "${EXPECTED}" expected)
string(REPLACE "\r\n" "\n" expected "${expected}")
if(NOT printed STREQUAL expected)
    message(FATAL_ERROR "${PROGRAM} printed\n${printed}\nand not, as ${EXPECTED} says,\n${expected}")
endif()
