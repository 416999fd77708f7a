#include <eddy/flow/settle.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/timeout.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("settle gives values, exceptions and cancellations as an outcome") {
    eddy_test::run([]() -> task<> {
        auto v = co_await settle([]() -> task<int> { co_return 3; });
        CHECK(v.has_value());
        CHECK(static_cast<bool>(v));
        CHECK(v.value() == 3);
        CHECK(v.error() == nullptr);
        auto boxed = co_await settle([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); });
        auto out = std::move(boxed).value();
        CHECK(*out == 4);
        static int place = 1;
        auto ref = co_await settle([]() -> task<int&> { co_return place; });
        CHECK(&ref.value() == &place);
        auto nothing = co_await settle(yield());
        nothing.value();
        auto bad = co_await settle([]() -> task<int> {
            throw std::runtime_error("x");
            co_return 1;
        });
        CHECK_THROWS_AS(bad.value(), std::runtime_error);
        auto sync = co_await settle([]() -> task<int> { throw std::runtime_error("no task"); });
        CHECK(text_of(sync.error()) == "no task");
    });
}

TEST_CASE("settle catches a cancellation as `catch` would: the next checkpoint throws again") {
    eddy_test::run([]() -> task<> {
        bool caught = false;
        bool went_on = false;
        const auto body = [&]() -> task<> {
            auto o = co_await settle(sleep_forever());
            caught = o.is_cancelled();
            CHECK(holds<task_cancelled>(o.error()));
            CHECK_THROWS_AS(o.value(), task_cancelled);
            co_await checkpoint();
            went_on = true;
        };
        auto h = spawn(body);
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        // Somebody else's cancellation.
        CHECK(o.is_cancelled());
        CHECK(holds<task_cancelled>(o.error()));
        CHECK(caught);
        CHECK(!went_on);
    });
}

TEST_CASE("settle of what fails to begin is an outcome too") {
    eddy_test::run([]() -> task<> {
        task<int> empty = []() -> task<int> { co_return 1; }();
        task<int> taken = std::move(empty);
        auto o = co_await settle(gather(std::move(empty))); // NOLINT: moved from on purpose
        CHECK(holds<std::logic_error>(o.error()));
        task_handle<int> none;
        auto p = co_await settle(timeout(1s, none));
        CHECK(holds<std::logic_error>(p.error()));
    });
}
