// SPDX-License-Identifier: MIT
// For the tests: whether a page is well-formed (tags balance, attributes are quoted) and needs nothing but its own file.
#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

[[noreturn]] void refuse(std::string_view what, std::string_view text)
{
    throw std::runtime_error(std::string(what) + ": " + std::string(text.substr(0, 60)));
}

// Reads tags from `text`, which begins with one, and gives its inside: <...>.
std::string_view take_tag(std::string_view& text)
{
    char quote = '\0';
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (quote != '\0')
            quote = text[i] == quote ? '\0' : quote;
        else if (text[i] == '"')
            quote = '"';
        else if (text[i] == '<' || text[i] == '\'')
            refuse("not allowed in a tag", text);
        else if (text[i] == '>') {
            const std::string_view inside = text.substr(1, i - 1);
            text.remove_prefix(i + 1);
            return inside;
        }
    }
    refuse("a tag without an end", text);
}

// Every & begins one of the names below, and no < or > stands alone.
void check_words(std::string_view words)
{
    constexpr std::array<std::string_view, 4> names{"&amp;", "&lt;", "&gt;", "&quot;"};
    if (words.find('>') != std::string_view::npos)
        refuse("a > that is not escaped", words);
    for (std::size_t i = words.find('&'); i != std::string_view::npos; i = words.find('&', i + 1))
        if (std::none_of(names.begin(), names.end(), [&](std::string_view name) { return words.substr(i).starts_with(name); }))
            refuse("an & that is not escaped", words.substr(i));
}

// Nothing that would be fetched or run.
void check_independence(std::string_view tag)
{
    constexpr std::array<std::string_view, 8> elements{"script", "link", "img", "image", "iframe", "object", "use", "a"};
    constexpr std::array<std::string_view, 6> attributes{" src=", " href=", " xlink:href=", " style=", " on", "://"};
    const std::string_view name = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (std::find(elements.begin(), elements.end(), name) != elements.end())
        refuse("an element that reaches outside, or could", tag);
    for (const std::string_view outside : attributes)
        if (tag.find(outside) != std::string_view::npos)
            refuse("an attribute that reaches outside, or could", tag);
}
void check_style(std::string_view style)
{
    for (const std::string_view outside : {"url(", "@import", "://"})
        if (style.find(outside) != std::string_view::npos)
            refuse("a style that reaches outside", style.substr(style.find(outside)));
}

void check_attributes(std::string_view tag)
{
    check_words(tag);
    for (std::size_t i = tag.find('='); i != std::string_view::npos; i = tag.find('=', i + 1)) {
        if (i + 1 >= tag.size() || tag[i + 1] != '"')
            refuse("an attribute without quotes", tag);
        i = tag.find('"', i + 2);  // what is between the quotes is text
    }
}

void check_tags(std::string_view text)
{
    std::vector<std::string_view> open;
    std::size_t elements = 0;
    constexpr std::string_view doctype = "<!DOCTYPE html>";
    if (!text.starts_with(doctype))
        refuse("no doctype", text);
    text.remove_prefix(doctype.size());
    while (!text.empty()) {
        const std::size_t begin = std::min(text.find('<'), text.size());
        if (!open.empty() && open.back() == "style")
            check_style(text.substr(0, begin));
        else
            check_words(text.substr(0, begin));
        text.remove_prefix(begin);
        if (text.empty())
            break;
        const std::string_view tag = take_tag(text);
        const std::string_view name = tag.substr(0, tag.find_first_of(" \n/", 1));
        if (tag.starts_with('/')) {
            if (open.empty() || open.back() != tag.substr(1))
                refuse("closes what is not open", tag);
            open.pop_back();
            continue;
        }
        check_attributes(tag);
        check_independence(tag);
        ++elements;
        if (!tag.ends_with('/'))
            open.push_back(name);
    }
    if (!open.empty())
        refuse("never closed", open.back());
    if (elements < 100)
        refuse("hardly a page", std::to_string(elements) + " elements");
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        if (argc != 2)
            refuse("usage", "check_page FILE");
        std::ifstream file(argv[1], std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        check_tags(text);
        return 0;
    } catch (const std::exception& reason) {
        std::cerr << "check_page: " << reason.what() << '\n';
        return 1;
    }
}
