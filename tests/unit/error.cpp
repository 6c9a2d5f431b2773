// SPDX-License-Identifier: MIT
// integer, error, result and the exception on their own. Which call ends in which error stands beside what it calls.

#include "support.hpp"

#include <fstream>
#include <iterator>
#include <limits>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace errors = batten::errors;
using batten::integer;

// ---- integer ----------------------------------------------------------------------------------------------------------

static_assert(integer(255).fits<std::uint8_t>() && !integer(256).fits<std::uint8_t>());
static_assert(integer(127).fits<std::int8_t>() && !integer(128).fits<std::int8_t>());
static_assert(integer(-128).fits<std::int8_t>() && !integer(-129).fits<std::int8_t>());
static_assert(!integer(-1).fits<std::uint64_t>() && integer(0).fits<std::uint64_t>());
static_assert(integer(1).fits<bool>() && !integer(2).fits<bool>() && !integer(-1).fits<bool>());
static_assert(integer(std::numeric_limits<std::uint64_t>::max()).fits<std::uint64_t>());
static_assert(!integer(std::numeric_limits<std::uint64_t>::max()).fits<std::int64_t>());
static_assert(integer(std::numeric_limits<std::int64_t>::min()).fits<std::int64_t>());
static_assert(!integer(std::numeric_limits<std::int64_t>::min()).fits<std::int32_t>());
static_assert(integer(std::numeric_limits<std::int64_t>::min()).to<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
static_assert(integer(-100).to<int>() == -100 && integer(-100).to<std::int8_t>() == -100);
static_assert(integer(-100).to<float>() == -100.0F);
static_assert(integer(std::int8_t{-1}) == integer(-1LL) && integer(-1).is_negative() && !integer(0U).is_negative());
static_assert(integer(-1) != integer(std::numeric_limits<std::uint64_t>::max()));

TEST_CASE("an integer prints itself whatever its type was")
{
    CHECK(integer(-100).text() == "-100");
    CHECK(integer(std::numeric_limits<std::uint64_t>::max()).text() == "18446744073709551615");
    CHECK(integer(std::numeric_limits<std::int64_t>::min()).text() == "-9223372036854775808");
    CHECK(integer().text() == "0");
}

// ---- messages ---------------------------------------------------------------------------------------------------------

// The errors that a header defines: the name that it gives, the name that the code says, the sentence.
struct defined_error {
    std::string identifier, name, sentence;
};

std::vector<defined_error> errors_of(const std::string& header)
{
    std::ifstream file(std::string(BATTEN_TEST_INCLUDE) + "/" + header);
    REQUIRE(file);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const std::regex definition("inline constexpr error_text (\\w+)\\{\\s*\"(\\w+)\",\\s*((?:\"[^\"]*\"\\s*)+)\\};");
    std::vector<defined_error> found;
    for (std::sregex_iterator i(text.begin(), text.end(), definition), end; i != end; ++i)
        found.push_back({(*i)[1], (*i)[2], std::regex_replace((*i)[3].str(), std::regex("\"\\s*\"|\""), "")});
    const std::string begin = "\ninline constexpr error_text ";
    std::size_t definitions = 0;
    for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1))
        ++definitions;
    CHECK(found.size() == definitions);
    return found;
}

TEST_CASE("the message of a row over the limit names the row, its tokens and the limit")
{
    const batten::error reason{errors::row_over_limit, 3, 700, 512, {}};
    CHECK(reason.message() == "batten: row 3 has 700 tokens, the limit is 512");
}

TEST_CASE("every error is named as its code, and has a sentence of its own with placeholders that are filled in")
{
    std::set<std::string> names, sentences;
    for (const char* header : {"error.hpp", "plan/errors.hpp", "mask/errors.hpp", "serve/errors.hpp"})
        for (const defined_error& one : errors_of(header)) {
            CAPTURE(one.identifier);
            CHECK(one.identifier == one.name);
            CHECK(names.insert(one.name).second);
            CHECK(sentences.insert(one.sentence).second);
            CHECK(one.sentence.size() > 8);
            const batten::error_text text{one.name, one.sentence};
            for (const std::size_t row : {std::size_t{3}, tests::no_row}) {
                const std::string message = batten::error{text, row, 71, 52, "token_ids"}.message();
                CHECK(message.rfind("batten: ", 0) == 0);
                CHECK(message.find_first_of("{}") == std::string::npos);
            }
        }
    CHECK(names.size() > 80);
}

TEST_CASE("rows and requests are named in words where there is none")
{
    static constexpr batten::error_text odd{"odd", "{row} and {request} and {request:}{name}"};
    CHECK(batten::error{odd, 3, {}, {}, {}}.message() == "batten: row 3 and request 3 and request 3: a field");
    CHECK(batten::error{odd, tests::no_row, {}, {}, "ids"}.message() == "batten: the batch and the request and ids");
}

TEST_CASE("messages of errors in a field name the field")
{
    CHECK(batten::error{errors::span_too_small, tests::no_row, 8, 7, "labels"}.message() ==
          "batten: labels needs 8 elements, the span has 7");
    CHECK(batten::error{errors::token_not_representable, 1, 2, -5, "token_ids"}.message() ==
          "batten: row 1, token 2: the element type of token_ids cannot hold -5");
    CHECK(batten::error{errors::pad_id_not_representable, tests::no_row, -1, {}, "token_ids"}.message() ==
          "batten: pad_id -1 does not fit the element type of token_ids");
}

TEST_CASE("an error without a code says so")
{
    CHECK(batten::error{}.message() == "batten: no error");
}

// ---- the exception ----------------------------------------------------------------------------------------------------

TEST_CASE("an exception carries the error and its message")
{
    const batten::exception thrown(batten::error{errors::row_over_limit, 3, 700, 512, {}});
    CHECK(thrown.error().code == errors::row_over_limit);
    CHECK(thrown.error().row == 3);
    CHECK(std::string(thrown.what()) == "batten: row 3 has 700 tokens, the limit is 512");
    static_assert(std::is_base_of_v<std::runtime_error, batten::exception>);
}

TEST_CASE("set_error_handler returns the handler before, and null brings the printing one back")
{
    const batten::error_handler printing = batten::set_error_handler(nullptr);
    const batten::error_handler mine = [](const batten::error&) {};
    CHECK(batten::set_error_handler(mine) == printing);
    CHECK(batten::set_error_handler(nullptr) == mine);
    CHECK(batten::set_error_handler(nullptr) == printing);
}

// ---- result -----------------------------------------------------------------------------------------------------------

constexpr bool results_are_values_or_errors()
{
    batten::result<int> good(7);
    const batten::result<int> bad(batten::error{errors::edges_empty, tests::no_row, {}, {}, {}});
    *good += 1;
    return good.has_value() && good && good.value() == 8 && *good == 8 && !good.error().code && !bad &&
           bad.error().code == errors::edges_empty && batten::result<int>(3).value() == 3 && *batten::result<int>(4) == 4;
}
static_assert(results_are_values_or_errors());

TEST_CASE("value() of a result that holds an error throws that error")
{
    const batten::result<int> bad(batten::error{errors::row_over_limit, 3, 700, 512, {}});
    tests::check_throws(bad.error(), [&] { static_cast<void>(bad.value()); });
}

TEST_CASE("a result's value can be moved out")
{
    batten::result<std::string> text(std::string("batten"));
    CHECK(text->size() == 6);
    CHECK(std::as_const(text)->size() == 6);
    CHECK(std::as_const(text).value() == "batten");
    const std::string moved = std::move(text).value();
    CHECK(moved == "batten");
}

// ---- sums and products of sizes ---------------------------------------------------------------------------------------

constexpr bool sizes_are_checked()
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    std::size_t out = 0;
    return batten::detail::add(most - 1, 1, out) && out == most && !batten::detail::add(most, 1, out) &&
           batten::detail::multiply(most / 2, 2, out) && !batten::detail::multiply(most / 2 + 1, 2, out) &&
           batten::detail::multiply(0, most, out) && out == 0 && batten::detail::multiply(most, 1, out);
}
static_assert(sizes_are_checked());

}  // namespace
