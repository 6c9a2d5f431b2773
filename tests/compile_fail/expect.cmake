# SPDX-License-Identifier: MIT
# cmake "-DEXPECT=text && text" -P expect.cmake -- compiler arguments...
# Without a text the command must succeed; with some it must fail and say each of them.
set(command)
set(is_command OFF)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(is_command)
        list(APPEND command "${CMAKE_ARGV${i}}")
    elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
        set(is_command ON)
    endif()
endforeach()

# The compilers' words in English, whatever the machine's language.
set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} RESULT_VARIABLE result OUTPUT_VARIABLE words ERROR_VARIABLE words)

if(EXPECT STREQUAL "")
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "The control does not compile:\n${words}")
    endif()
elseif(result EQUAL 0)
    message(FATAL_ERROR "It compiles, and should have been refused with: ${EXPECT}")
else()
    string(REPLACE " && " ";" texts "${EXPECT}")
    foreach(text IN LISTS texts)
        string(FIND "${words}" "${text}" found)
        if(found EQUAL -1)
            message(FATAL_ERROR "It was refused, but not with: ${text}\n${words}")
        endif()
    endforeach()
endif()
