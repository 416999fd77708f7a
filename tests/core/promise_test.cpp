#include <eddy/core/promise.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>

#include "support/run.hpp"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::promise;
using eddy::task;
using eddy::thread_promise;
using eddy_test::counted;

namespace {

task<int> value_of(promise<int>& p) { co_return co_await p.get(); }

std::exception_ptr failure(const char* text) { return std::make_exception_ptr(std::runtime_error(text)); }

// What would be a callback of the program.
void later(std::function<void()> f) { eddy::loop::current().call_soon(std::move(f)); }

} // namespace

TEST_CASE("FU-1 a promise is set once; a second set is an error") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        CHECK_FALSE(p.is_set());
        p.set_value(1);
        CHECK(p.is_set());
        CHECK_THROWS_AS(p.set_value(2), std::logic_error);
        CHECK_THROWS_AS(p.set_exception(failure("late")), std::logic_error);
        CHECK_THROWS_AS(p.set_exception(nullptr), std::logic_error);
        const int v = co_await p.get();
        CHECK(v == 1);
        CHECK_THROWS_AS(p.set_value(3), std::logic_error);
    });
}

TEST_CASE("FU-2 the exception that was set is thrown by the await") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        later([&p] { p.set_exception(failure("broke")); });
        std::string text;
        try {
            co_await p.get();
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "broke");
    });
}

TEST_CASE("FU-3 setting never runs the waiter inside the call") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        auto h = eddy::spawn(value_of(p));
        co_await eddy::yield();
        p.set_value(7);
        CHECK_FALSE(h.done());
        const int v = co_await h;
        CHECK(v == 7);
    });
}

TEST_CASE("FU-5 awaiting a promise that is set does not suspend") {
    eddy_test::run([]() -> task<void> {
        promise<void> p;
        p.set_value();
        bool other = false;
        later([&other] { other = true; });
        co_await p.get();
        CHECK_FALSE(other);
        co_await eddy::yield();
        CHECK(other);
    });
}

TEST_CASE("a promise has one waiter, and its value is taken once") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        auto first = eddy::spawn(value_of(p));
        auto second = eddy::spawn(value_of(p));
        co_await eddy::yield();
        const auto failed = co_await eddy::settle(second);
        CHECK_THROWS_AS(failed.value(), std::logic_error);
        p.set_value(5);
        const int v = co_await first;
        CHECK(v == 5);
        const auto again = co_await eddy::settle(p.get());
        CHECK_THROWS_AS(again.value(), std::logic_error);
    });
}

TEST_CASE("two operations of one promise that start together: the second is refused") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        auto both = eddy::gather(p.get(), p.get());
        bool refused = false;
        try {
            co_await both;
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
    });
}

TEST_CASE("an exception is taken once as well") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        p.set_exception(failure("once"));
        const auto a = co_await eddy::settle(p.get());
        CHECK_THROWS_AS(a.value(), std::runtime_error);
        const auto b = co_await eddy::settle(p.get());
        CHECK_THROWS_AS(b.value(), std::logic_error);
    });
}

TEST_CASE("promises of void, references and move-only values") {
    eddy_test::run([]() -> task<void> {
        promise<std::unique_ptr<int>> owner;
        later([&owner] { owner.set_value(std::make_unique<int>(3)); });
        auto got = co_await owner.get();
        CHECK(*got == 3);

        int x = 4;
        promise<int&> reference;
        reference.set_value(x);
        int& y = co_await reference.get();
        CHECK(&y == &x);

        promise<> nothing;
        later([&nothing] { nothing.set_value(); });
        co_await nothing.get();
    });
}

TEST_CASE("FU-6 a promise of another loop is an error in the awaiter") {
    eddy::testing::virtual_loop own;
    std::optional<promise<int>> p;
    const auto make = [](std::optional<promise<int>>& into) -> task<void> {
        into.emplace();
        co_return;
    };
    own.run(make(p));
    eddy::testing::virtual_loop other;
    CHECK_THROWS_AS(other.run(value_of(*p)), std::logic_error);
    p.reset();
    eddy_test::check_empty(own);
    eddy_test::check_empty(other);
}

TEST_CASE("a promise made outside of a loop belongs to the loop that first waits for it") {
    promise<int> p;
    p.set_value(1);
    const int v = eddy_test::run([&]() -> task<int> { co_return co_await p.get(); });
    CHECK(v == 1);
}

TEST_CASE("a promise set on a foreign thread is an error that names thread_promise") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        auto h = eddy::spawn(value_of(p));
        co_await eddy::yield();
        std::string text;
        std::thread t([&] {
            try {
                p.set_value(1);
            } catch (const std::logic_error& e) {
                text = e.what();
            }
        });
        t.join();
        CHECK(text.find("thread_promise") != std::string::npos);
        p.set_value(2);
        const int v = co_await h;
        CHECK(v == 2);
    });
}

TEST_CASE("FU-7 an exception that nobody waits for is reported once, when the promise goes") {
    eddy_test::run([]() -> task<void> {
        std::vector<std::string> told;
        eddy::loop::current().set_exception_handler(
            [&told](const eddy::error_context& c) { told.emplace_back(c.message); });
        {
            promise<int> p;
            p.set_exception(failure("unseen"));
        }
        CHECK(told.size() == 1);
        {
            promise<int> seen;
            seen.set_exception(failure("seen"));
            const auto r = co_await eddy::settle(seen.get());
            CHECK_FALSE(r.has_value());
        }
        {
            promise<int> kept; // a value is never reported
            kept.set_value(1);
        }
        {
            promise<int> cancelled;
            const auto none = co_await eddy::move_on_after(1ms, cancelled.get());
            CHECK_FALSE(none.has_value());
            cancelled.set_exception(failure("after the wait was cancelled"));
        }
        CHECK(told.size() == 1);
        eddy::loop::current().set_exception_handler(nullptr);
    });
}

TEST_CASE("FU-8 a value that comes after the wait was cancelled does no harm, and is kept") {
    eddy_test::run([]() -> task<void> {
        promise<counted> p;
        const auto none = co_await eddy::move_on_after(1ms, p.get());
        CHECK_FALSE(none.has_value());
        p.set_value(counted(9));
        auto got = co_await p.get();
        CHECK(got.value == 9);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("CA-13 a promise that was set before the cancel is delivered, and the next checkpoint throws") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        int got = 0;
        bool stopped = false;
        const auto body = [](promise<int>& mine, int& value, bool& ended) -> task<void> {
            value = co_await mine.get();
            try {
                co_await eddy::checkpoint();
            } catch (const eddy::cancelled&) {
                ended = true;
                throw;
            }
        };
        auto h = eddy::spawn(body, std::ref(p), std::ref(got), std::ref(stopped));
        co_await eddy::yield();
        p.set_value(3);
        h.cancel();
        const auto r = co_await eddy::settle(h);
        CHECK(r.is_cancelled());
        CHECK(h.was_cancelled());
        CHECK(got == 3);
        CHECK(stopped);
    });
}

TEST_CASE("CA-14 the other order: the wait is cancelled, and the value stays in the promise") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        auto h = eddy::spawn(value_of(p));
        co_await eddy::yield();
        h.cancel();
        p.set_value(3);
        const auto r = co_await eddy::settle(h);
        CHECK(r.is_cancelled());
        const int v = co_await p.get();
        CHECK(v == 3);
    });
}

TEST_CASE("on_cancel is told once, before the waiting task goes on") {
    eddy_test::run([]() -> task<void> {
        promise<int> p;
        std::vector<std::string> seen;
        p.on_cancel([&seen] { seen.emplace_back("told"); });
        const auto body = [](promise<int>& mine, std::vector<std::string>& log) -> task<void> {
            try {
                co_await mine.get();
            } catch (const eddy::cancelled&) {
                log.emplace_back("cancelled");
                throw;
            }
        };
        auto h = eddy::spawn(body, std::ref(p), std::ref(seen));
        co_await eddy::yield();
        h.cancel();
        CHECK(seen.empty()); // never inside cancel()
        const auto ended = co_await eddy::settle(h);
        CHECK(ended.is_cancelled());
        CHECK(seen == std::vector<std::string>{"told", "cancelled"});
        const auto again = co_await eddy::move_on_after(1ms, p.get());
        CHECK_FALSE(again.has_value());
        CHECK(seen.size() == 2);
    });
}

TEST_CASE("on_cancel is told when the task had been cancelled before it came to wait, and when its frame goes") {
    eddy_test::run([]() -> task<void> {
        int told = 0;
        auto scope = eddy::with_cancel_scope([&told](eddy::cancel_scope& s) -> task<void> {
            s.cancel();
            promise<int> p;
            p.on_cancel([&told] { ++told; });
            co_await p.get();
        });
        const bool completed = co_await scope;
        CHECK_FALSE(completed);
        CHECK(told == 1);
    });
    int told = 0;
    promise<int> p;
    p.on_cancel([&told] { ++told; });
    {
        // It swallows the cancellation and waits behind a shield: its frame is destroyed in the end.
        const auto stubborn = [](promise<int>& mine) -> task<void> { co_await eddy::shield(mine.get()); };
        eddy::loop l;
        l.set_exception_handler([](const eddy::error_context&) {});
        auto main = [&]() -> task<void> {
            eddy::spawn(stubborn, std::ref(p));
            co_await eddy::yield();
        };
        CHECK_NOTHROW(eddy::run(main(), eddy::run_options().shutdown_timeout(1ms)));
    }
    CHECK(told == 1);
    CHECK_NOTHROW(p.set_value(1));
}

TEST_CASE("an on_cancel function may set the promise and may throw; the wait stays cancelled") {
    eddy_test::run([]() -> task<void> {
        std::string reported;
        eddy::loop::current().set_exception_handler(
            [&reported](const eddy::error_context& c) { reported = c.message; });
        promise<int> p;
        p.on_cancel([&p] {
            p.set_value(1);
            throw std::runtime_error("from on_cancel");
        });
        const auto none = co_await eddy::move_on_after(1ms, p.get());
        CHECK_FALSE(none.has_value());
        CHECK(reported.find("on_cancel") != std::string::npos);
        const int v = co_await p.get();
        CHECK(v == 1);
        eddy::loop::current().set_exception_handler(nullptr);
    });
}

TEST_CASE("on_cancel is destroyed uncalled when the promise is set") {
    eddy_test::run([]() -> task<void> {
        auto alive = std::make_shared<int>(0);
        promise<int> p;
        p.on_cancel([alive] { ++*alive; });
        CHECK(alive.use_count() == 2);
        p.set_value(1);
        CHECK(alive.use_count() == 1);
        p.on_cancel([alive] { ++*alive; });
        CHECK(alive.use_count() == 1);
        co_await p.get();
        CHECK(*alive == 0);
    });
}

TEST_CASE("FU-11 a promise that is destroyed unset breaks its waiter, now or later") {
    eddy_test::run([]() -> task<void> {
        auto p = std::make_unique<promise<int>>();
        auto waiting = p->get();
        later([&p] { p.reset(); });
        const auto r = co_await eddy::settle(std::move(waiting));
        CHECK_THROWS_AS(r.value(), eddy::broken_promise);

        std::optional<promise<int>> q(std::in_place);
        auto not_yet = q->get();
        q.reset();
        const auto s = co_await eddy::settle(std::move(not_yet));
        CHECK_THROWS_AS(s.value(), eddy::broken_promise);

        promise<int> old;
        auto first = old.get();
        old = promise<int>(); // lets go of what it was
        const auto t = co_await eddy::settle(std::move(first));
        CHECK_THROWS_AS(t.value(), eddy::broken_promise);
    });
}

TEST_CASE("a promise moves into its callback; the operation outlives it") {
    eddy_test::run([]() -> task<void> {
        promise<counted> p;
        auto waiting = p.get();
        later([mine = std::make_shared<promise<counted>>(std::move(p))] { mine->set_value(counted(6)); });
        CHECK_FALSE(p.valid());
        CHECK_THROWS_AS(p.set_value(counted(1)), std::logic_error);
        CHECK_THROWS_AS(static_cast<void>(p.get()), std::logic_error);
        auto got = co_await waiting;
        CHECK(got.value == 6);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("a value that nobody takes is destroyed with the promise") {
    eddy_test::run([]() -> task<void> {
        promise<counted> p;
        p.set_value(counted(1));
        thread_promise<counted> q;
        q.set_value(counted(2));
        CHECK(counted::alive() == 2);
        co_return;
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("a promise that loses a race in the winner's tick keeps its value") {
    eddy_test::run([]() -> task<void> {
        promise<int> a;
        promise<int> b;
        auto both = eddy::race(a.get(), b.get());
        later([&] {
            a.set_value(1);
            b.set_value(2);
        });
        const auto won = co_await both;
        auto& loser = won.index == 0 ? b : a;
        const int kept = co_await loser.get();
        CHECK(kept == (won.index == 0 ? 2 : 1));
    });
}

TEST_CASE("X-1 a thread_promise that loses a race before its mail has come keeps its value") {
    eddy_test::run([]() -> task<void> {
        thread_promise<int> p;
        promise<void> first;
        auto racing = eddy::spawn([&]() -> task<std::size_t> {
            auto r = co_await eddy::race(first.get(), p.get());
            co_return r.index;
        });
        for (int i = 0; i < 4; ++i)
            co_await eddy::yield(); // both wait
        // Runs before the winner does, in the same tick: the mail is posted and not delivered.
        auto setting = eddy::spawn([&]() -> task<void> {
            p.set_value(7);
            co_return;
        });
        first.set_value();
        const std::size_t winner = co_await racing;
        CHECK(winner == 0);
        co_await setting;
        auto again = eddy::timeout(1s, p.get());
        const int kept = co_await again;
        CHECK(kept == 7);
    });
}

TEST_CASE("what waits for a promise is no deadlock") {
    eddy::loop l;
    promise<int> p;
    const auto ref = l.ref();
    std::thread t([&] { ref.post([&p] { p.set_value(11); }); });
    CHECK(l.run(value_of(p)) == 11);
    t.join();
}

// ---- thread_promise

namespace {
template <class T>
task<T> wait_for(thread_promise<T>& p) {
    co_return co_await p.get();
}
} // namespace

TEST_CASE("FU-9 a value and an exception cross from a thread to the loop") {
    const auto cross = [](auto set) {
        thread_promise<int> p;
        const auto main = [](auto waiting) -> task<int> { co_return co_await waiting; };
        auto work = main(p.get()); // the thread may take the promise away
        std::thread t([&] { set(p); });
        struct join {
            std::thread& t;
            ~join() { t.join(); }
        } at_end{t};
        return eddy::run(std::move(work));
    };
    CHECK(cross([](auto& p) { p.set_value(4); }) == 4);
    CHECK_THROWS_AS(cross([](auto& p) { p.set_exception(failure("x")); }), std::runtime_error);
    CHECK_THROWS_AS(cross([](auto& p) { auto gone = std::move(p); }), eddy::broken_promise);
}

TEST_CASE("a thread_promise that the woken task destroys at once, ten thousand times") {
    const auto main = []() -> task<int> {
        int sum = 0;
        std::atomic<thread_promise<int>*> slot{nullptr};
        std::atomic<bool> end{false};
        std::thread setter([&] {
            while (!end.load()) {
                if (auto* p = slot.exchange(nullptr); p != nullptr)
                    p->set_value(1);
                else
                    std::this_thread::yield();
            }
        });
        for (int i = 0; i < 10'000; ++i) {
            thread_promise<int> p;
            auto waiting = p.get();
            slot = &p;
            sum += co_await waiting;
        }
        end = true;
        setter.join();
        co_return sum;
    };
    CHECK(eddy::run(main()) == 10'000);
}

TEST_CASE("FU-9 cancelling the wait while a thread sets: the value is delivered or kept, never lost") {
    const auto main = []() -> task<int> {
        int lost = 0;
        for (int i = 0; i < 2'000; ++i) {
            auto p = std::make_shared<thread_promise<int>>();
            const auto body = [](std::shared_ptr<thread_promise<int>> mine) -> task<int> {
                co_return co_await mine->get();
            };
            auto h = eddy::spawn(body, p);
            co_await eddy::yield();
            std::thread t([p] { p->set_value(1); });
            if (i % 2 == 0) co_await eddy::yield();
            h.cancel();
            const auto r = co_await eddy::settle(h);
            t.join();
            int got = 0;
            if (r.has_value())
                got = r.value();
            else
                got = co_await p->get();
            if (got != 1) ++lost;
        }
        co_return lost;
    };
    CHECK(eddy::run(main()) == 0);
}

TEST_CASE("a value set on a thread before the cancel wins, though its mail has not come yet") {
    const auto main = []() -> task<void> {
        thread_promise<int> p;
        auto h = eddy::spawn(wait_for(p));
        co_await eddy::yield();
        std::thread t([&p] { p.set_value(8); });
        t.join();
        h.cancel();
        const int v = co_await h;
        CHECK(v == 8);
    };
    eddy::run(main());
}

TEST_CASE("a thread_promise outlives the loop that waited, and its value goes with the last of them") {
    auto p = std::make_shared<thread_promise<counted>>();
    const auto main = [](std::shared_ptr<thread_promise<counted>> mine) -> task<void> {
        const auto none = co_await eddy::move_on_after(1ms, mine->get());
        CHECK_FALSE(none.has_value());
    };
    eddy::run(main(p));
    std::thread t([p = std::move(p)] { p->set_value(counted(1)); });
    t.join();
    CHECK(counted::alive() == 0);
}

TEST_CASE("setting a thread_promise does not allocate") {
    const auto main = []() -> task<void> {
        thread_promise<int> p;
        auto h = eddy::spawn(wait_for(p));
        co_await eddy::yield();
        const auto before = eddy::loop::current().statistics();
        std::thread t([&p] {
            eddy::engine::pool* const mine = eddy::engine::current_pool();
            const auto blocks = mine->live_blocks();
            p.set_value(1);
            CHECK(mine->live_blocks() == blocks);
        });
        t.join();
        CHECK(eddy::loop::current().statistics().frames == before.frames);
        const int v = co_await h;
        CHECK(v == 1);
    };
    eddy::run(main());
}

TEST_CASE("on_cancel of a thread_promise runs on the loop") {
    const auto main = []() -> task<void> {
        thread_promise<int> p;
        std::thread::id where;
        std::thread t([&] { p.on_cancel([&where] { where = std::this_thread::get_id(); }); });
        t.join();
        const auto none = co_await eddy::move_on_after(1ms, p.get());
        CHECK_FALSE(none.has_value());
        CHECK(where == std::this_thread::get_id());
    };
    eddy::run(main());
}
