# SPDX-License-Identifier: MIT
# Takes the ```cpp blocks out of a page of Markdown, to be compiled and run. Included, or called by hand:
#
#   cmake -DPAGE=README.md -DOUT=folder [-DEXAMPLES=folder] -P extract.cmake
#
# A block with a main is a program, OUT/line_N.cpp, N its line in the page. All others go into OUT/snippets.cpp: types at
# namespace scope, statements as a function that `snippets N` calls. A ```text block right behind a block is what it prints:
# OUT/line_N.txt. A block right behind a link to examples/NAME.cpp must stand in that file word for word.
#
# Leaves behind: readme_programs, readme_snippets (those that are run), readme_printing (those with a text), as lists of N.

function(batten_extract page out examples)
    file(READ "${page}" rest)
    string(PREPEND rest "\n")
    file(MAKE_DIRECTORY "${out}")
    get_filename_component(page_name "${page}" NAME)
    set(open "\n```cpp\n")
    set(close "\n```\n")
    set(open_text "\n\n```text\n")
    set(line 0)
    set(programs "")
    set(runnable "")
    set(printing "")
    set(body "")
    set(calls "")
    while(TRUE)
        string(FIND "${rest}" "${open}" at)
        if(at EQUAL -1)
            break()
        endif()
        # What stands before the block, with its opening fence.
        string(LENGTH "${open}" length)
        math(EXPR at "${at} + ${length}")
        string(SUBSTRING "${rest}" 0 ${at} before)
        string(SUBSTRING "${rest}" ${at} -1 rest)
        string(FIND "${rest}" "${close}" at)
        if(at EQUAL -1)
            message(FATAL_ERROR "${page}: a block is not closed")
        endif()
        math(EXPR at "${at} + 1")
        string(SUBSTRING "${rest}" 0 ${at} block)
        math(EXPR at "${at} - 1")
        string(SUBSTRING "${rest}" ${at} -1 rest)

        string(REGEX MATCHALL "\n" newlines "${before}")
        list(LENGTH newlines count)
        math(EXPR line "${line} + ${count}")

        if("${before}" MATCHES "\\]\\(examples/([a-z_]+)\\.cpp\\)[^\n]*\n\n```cpp\n$" AND NOT "${examples}" STREQUAL "")
            set(example "${examples}/${CMAKE_MATCH_1}.cpp")
            file(READ "${example}" source)
            string(FIND "${source}" "${block}" found)
            if(found EQUAL -1)
                message(FATAL_ERROR "${page}:${line}: this block is not in ${example}:\n${block}")
            endif()
        endif()

        set(is_run TRUE)
        if("${block}" MATCHES "\nint main\\(")
            file(WRITE "${out}/line_${line}.cpp.new" "#line ${line} \"${page_name}\"\n${block}")
            list(APPEND programs ${line})
        elseif("${block}" MATCHES "^(struct|class|template|namespace)" AND "${block}" MATCHES "\n};?\n$")
            string(APPEND body "\n#line ${line} \"${page_name}\"\n${block}")
            set(is_run FALSE)
        else()
            string(APPEND body "\nstatic void line_${line}()\n{\n#line ${line} \"${page_name}\"\n${block}}\n")
            string(APPEND calls "    if (line == \"${line}\")\n        return line_${line}(), 0;\n")
            list(APPEND runnable ${line})
        endif()

        string(REGEX MATCHALL "\n" newlines "${block}")
        list(LENGTH newlines count)
        math(EXPR line "${line} + ${count} - 1")  # the last newline is counted with what comes next

        # The text behind it, if there is one.
        string(LENGTH "${close}" length)
        math(EXPR after "${length} - 1")
        string(SUBSTRING "${rest}" ${after} -1 behind)
        string(FIND "${behind}" "${open_text}" at)
        if(is_run AND at EQUAL 0)
            string(LENGTH "${open_text}" length)
            string(SUBSTRING "${behind}" ${length} -1 behind)
            string(FIND "${behind}" "${close}" at)
            math(EXPR at "${at} + 1")
            string(SUBSTRING "${behind}" 0 ${at} text)
            if("${block}" MATCHES "\nint main\\(")
                list(GET programs -1 number)
            else()
                list(GET runnable -1 number)
            endif()
            file(WRITE "${out}/line_${number}.txt" "${text}")
            list(APPEND printing ${number})
        endif()
    endwhile()

    file(WRITE "${out}/snippets.cpp.new"
        "#include \"prelude.hpp\"\n${body}\nint main(int argc, char** argv)\n{\n"
        "    const std::string_view line = argc == 2 ? argv[1] : \"\";\n${calls}    return 2;\n}\n")
    # Only what differs is written, so that nothing is compiled for nothing.
    foreach(name IN LISTS programs)
        file(COPY_FILE "${out}/line_${name}.cpp.new" "${out}/line_${name}.cpp" ONLY_IF_DIFFERENT)
    endforeach()
    file(COPY_FILE "${out}/snippets.cpp.new" "${out}/snippets.cpp" ONLY_IF_DIFFERENT)

    set(readme_programs "${programs}" PARENT_SCOPE)
    set(readme_snippets "${runnable}" PARENT_SCOPE)
    set(readme_printing "${printing}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    batten_extract("${PAGE}" "${OUT}" "${EXAMPLES}")
    message("programs ${readme_programs}, snippets ${readme_snippets}, with a text ${readme_printing}")
endif()
