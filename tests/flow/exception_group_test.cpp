#include <eddy/flow/exception_group.hpp>

#include <support/check.hpp>

#include <type_traits>

using namespace eddy;
using namespace eddy_test;

namespace {
std::exception_ptr failure(const char* text) { return std::make_exception_ptr(std::runtime_error(text)); }
} // namespace

TEST_CASE("what() says what failed, how many there are, and the first three texts") {
    const exception_group one("the upload failed", {failure("refused")});
    CHECK(std::string(one.what()) == "eddy: the upload failed (1 exception: refused)");
    const exception_group two("all failed", {failure("a"), failure("b")});
    CHECK(std::string(two.what()) == "eddy: all failed (2 exceptions: a; b)");
    const exception_group many("all failed", {failure("a"), std::make_exception_ptr(7), failure("c"), failure("d")});
    CHECK(std::string(many.what()) ==
          "eddy: all failed (4 exceptions: a; an exception that is no std::exception; c; …)");
    const exception_group none("all failed", std::vector<std::exception_ptr>());
    CHECK(std::string(none.what()) == "eddy: all failed (0 exceptions)");
}

TEST_CASE("exceptions() has them in order; it is caught as error and as std::exception; copies share the list") {
    const std::exception_ptr a = failure("a");
    const std::exception_ptr b = failure("b");
    try {
        throw exception_group("two", {a, nullptr, b});
    } catch (const eddy::error& e) {
        const auto* g = dynamic_cast<const exception_group*>(&e);
        REQUIRE(g != nullptr);
        static_assert(std::is_same_v<decltype(g->exceptions()), const std::vector<std::exception_ptr>&>);
        REQUIRE(g->exceptions().size() == 2);
        CHECK(g->exceptions()[0] == a);
        CHECK(g->exceptions()[1] == b);
        const exception_group copy(*g);
        CHECK(&copy.exceptions() == &g->exceptions());
    }
    static_assert(std::is_nothrow_copy_constructible_v<exception_group>);
    static_assert(std::is_base_of_v<std::exception, exception_group>);
}
