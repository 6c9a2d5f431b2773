# SPDX-License-Identifier: MIT
# cmake -DBUILD=folder -DPREFIX=folder -DSOURCE=folder -P install.cmake
# Installs anew, and every file of include/ must have arrived, but no path of this build.
file(REMOVE_RECURSE "${PREFIX}")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}" RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "The install failed")
endif()

file(GLOB_RECURSE headers RELATIVE "${SOURCE}" "${SOURCE}/include/*")
foreach(header IN LISTS headers)
    if(NOT EXISTS "${PREFIX}/${header}")
        message(FATAL_ERROR "Not installed: ${header}")
    endif()
endforeach()

file(GLOB_RECURSE package "${PREFIX}/share/cmake/batten/*.cmake")
if(NOT package)
    message(FATAL_ERROR "No package files in ${PREFIX}/share/cmake/batten")
endif()
foreach(file IN LISTS package)
    file(READ "${file}" text)
    foreach(stranger "${SOURCE}" "${BUILD}" batten_development)
        string(FIND "${text}" "${stranger}" found)
        if(NOT found EQUAL -1)
            message(FATAL_ERROR "${file} names ${stranger}")
        endif()
    endforeach()
endforeach()
