#include <eddy/capi/bridge.hpp>

#include "fixture.hpp"

#include <eddy/eddy.hpp>

#include <string>

using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

eddy::task<int> add(int a, int b) {
    co_await eddy::sleep(5ms);
    co_return a + b;
}
eddy::task<std::string> shout(std::string s) {
    co_await eddy::sleep(5ms);
    co_return s + "!";
}
eddy::task<> fail() {
    co_await eddy::sleep(5ms);
    throw std::runtime_error("no luck");
}
eddy::task<> forever(int& cleaned) {
    try {
        co_await eddy::sleep_forever();
    } catch (const eddy::cancelled&) {
        ++cleaned;
        throw;
    }
}

} // namespace

TEST_CASE("from_c: a coroutine awaits ops: value, number, and each kind of failure as its exception") {
    c_loop l;
    held q(new_queue(l));
    static int item = 7;
    l.cpp.run([](eddy_loop* c, eddy_queue* items) -> eddy::task<> {
        CHECK(eddy_queue_try_put(items, &item) == EDDY_OK);
        auto r = co_await eddy::from_c(eddy_queue_get(items));
        CHECK(r.take() == &item);
        CHECK(r.value() == nullptr);
        eddy_op* parts[] = {eddy_sleep(c, EDDY_MS(2)), eddy_sleep(c, EDDY_MS(1))};
        auto op = eddy::from_c(eddy_race(c, parts, 2)); // finishes later
        auto won = co_await op;
        CHECK(won.number() == 1);
        std::string seen;
        const auto rejected = [c](int status, const char* message) {
            eddy_op* p = eddy_promise(c, nullptr, nullptr, nullptr);
            eddy_promise_reject(p, status, message, nullptr, nullptr);
            return p;
        };
        for (int i = 0; i < 7; ++i) {
            static constexpr int statuses[] = {EDDY_ETIMEDOUT, EDDY_ECLOSED,   EDDY_ENOMEM, -2,
                                               -20001,         EDDY_ECANCELED, EDDY_OK};
            eddy_op* const failing = i == 6 ? nullptr : rejected(statuses[i], "told");
            try {
                co_await eddy::from_c(failing);
                seen += "?";
            } catch (const eddy::timeout_error& e) {
                seen += std::string("timeout:") + e.what();
            } catch (const eddy::closed&) {
                seen += " closed";
            } catch (const std::bad_alloc&) {
                seen += " memory";
            } catch (const eddy::uv_error& e) {
                seen += " uv" + std::to_string(e.code().value());
            } catch (const eddy::c_error& e) {
                seen += " c" + std::to_string(e.status()) + e.what();
            } catch (const eddy::task_cancelled&) {
                seen += " cancelled";
            }
        }
        CHECK(seen == "timeout:told closed memory uv-2 c-20001told cancelled memory");
        eddy_op* busy = eddy_sleep(c, EDDY_SEC(1));
        eddy_op_then(static_cast<eddy_op*>(eddy_ref(busy)), [](eddy_op*, void*) {}, nullptr, nullptr);
        bool refused = false;
        try {
            co_await eddy::from_c(busy);
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
    }(l, q));
}

TEST_CASE("from_c cancelled: the op is asked once and waited for; what succeeds all the same is delivered") {
    c_loop l;
    trace t{};
    cleaner clean{&t, 1, 0};
    held m(new_mutex(l));
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    int outcome = 0;
    const auto awaits = [](eddy_op* op, int& result) -> eddy::task<> {
        try {
            co_await eddy::from_c(op);
            result = 1;
        } catch (const eddy::cancelled&) {
            result = 2;
            throw;
        }
    };
    auto h = l.cpp.spawn(awaits, eddy_spawn(l, &cleaner_step, &clean, nullptr), std::ref(outcome));
    l.settle();
    h.cancel();
    l.settle();
    CHECK(outcome == 0); // the C task cleans up
    l.cpp.advance(10ms);
    CHECK(outcome == 1); // and ends well: a completed result outranks the cancellation
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
    auto second = l.cpp.spawn(awaits, eddy_mutex_lock(m), std::ref(outcome));
    l.settle();
    second.cancel();
    l.settle();
    CHECK(outcome == 2);
    // Destroyed where it waits: the op is cancelled.
    held sleep(eddy_sleep(l, EDDY_SEC(9)));
    {
        eddy::testing::virtual_loop other;
        auto op = eddy::from_c(static_cast<eddy_op*>(eddy_ref(sleep)));
    }
    CHECK(l.until(sleep) == EDDY_ECANCELED);
}

TEST_CASE("to_c: a task as an op: number, value, error, cancellation, and dropped") {
    c_loop l;
    held sum(eddy::to_c(l, l.cpp, add(40, 2)));
    CHECK(eddy_op_status(sum) == EDDY_PENDING);
    CHECK(l.until(sum) == EDDY_OK);
    CHECK(eddy_op_number(sum) == 42);
    held text(eddy::to_c(l, l.cpp, shout("hey")));
    CHECK(l.until(text) == EDDY_OK);
    CHECK(*static_cast<std::string*>(eddy_op_value(text)) == "hey!");
    held failed(eddy::to_c(l, l.cpp, fail()));
    CHECK(l.until(failed) == EDDY_EEXCEPTION);
    CHECK(std::string(eddy_op_message(failed)) == "no luck");
    int cleaned = 0;
    held cancelled(eddy::to_c(l, l.cpp, forever(cleaned)));
    l.settle();
    eddy_op_cancel(cancelled);
    CHECK(l.until(cancelled) == EDDY_ECANCELED);
    CHECK(cleaned == 1);
    held timed(eddy_op_timeout(eddy::to_c(l, l.cpp, forever(cleaned)), EDDY_MS(1)));
    CHECK(l.until(timed) == EDDY_ETIMEDOUT);
    CHECK(cleaned == 2);
    int ran = 0;
    eddy_unref(eddy::to_c(l, l.cpp, [](int& n) -> eddy::task<> {
        co_await eddy::sleep(1ms);
        ++n;
    }(ran)));
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(ran == 1);
}

TEST_CASE("c_loop: C objects on the running loop, closed with it; C tasks await C++ tasks and the other way round") {
    int status = EDDY_PENDING;
    trace t{};
    cleaner clean{&t, 0, 0};
    eddy_op* left = nullptr;
    {
        eddy::testing::virtual_loop l;
        l.run([](int& s) -> eddy::task<> {
            eddy_loop* const c = eddy::c_loop(eddy::loop::current());
            CHECK(eddy::c_loop(eddy::loop::current()) == c);
            waiter w{eddy::to_c(add(1, 2))};
            auto op = eddy::from_c(eddy_spawn(c, &waiter_step, &w, nullptr));
            auto r = co_await op;
            s = static_cast<int>(r.number());
        }(status));
        left = eddy_spawn(eddy::c_loop(l), &cleaner_step, &clean, nullptr);
        l.settle();
    }
    CHECK(status == 3);
    CHECK(eddy_op_status(left) != EDDY_PENDING);
    eddy_unref(left);
}
