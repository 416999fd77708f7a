#include <eddy/core/remote.hpp>

#include <eddy/core/run.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>

#include "support/run.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::loop_ref;
using eddy::task;

namespace {

// A loop that runs on a thread of its own until the object goes.
class background {
public:
    background() {
        std::promise<loop_ref> made;
        auto ref_of = made.get_future();
        thread_ = std::thread([&made] {
            eddy::loop l;
            l.set_exception_handler([](const eddy::error_context&) {});
            auto alive = l.keep_alive();
            made.set_value(l.ref());
            l.run();
        });
        ref = ref_of.get();
    }
    ~background() { end(); }
    background(const background&) = delete;
    void end() {
        if (!thread_.joinable()) return;
        ref.stop();
        thread_.join();
    }
    loop_ref ref;

private:
    std::thread thread_;
};

task<int> add(int a, int b) {
    co_await eddy::yield();
    co_return a + b;
}

task<void> fail() {
    co_await eddy::yield();
    throw std::runtime_error("failed on the loop");
}

task<void> sleep_long() { co_await eddy::sleep(1h); }

// True when destroyed.
class tombstone {
public:
    explicit tombstone(std::atomic<int>& n) : n_(&n) {}
    tombstone(tombstone&& o) noexcept : n_(std::exchange(o.n_, nullptr)) {}
    tombstone& operator=(tombstone&&) = delete;
    ~tombstone() {
        if (n_ != nullptr) ++*n_;
    }

private:
    std::atomic<int>* n_;
};

} // namespace

TEST_CASE("LP-13 a post from another thread wakes a loop that sleeps; those of one thread keep their order") {
    background b;
    std::vector<int> seen;
    std::promise<void> done;
    for (int i = 0; i < 100; ++i)
        CHECK(b.ref.post([&seen, i] { seen.push_back(i); }));
    CHECK(b.ref.post([&done] { done.set_value(); }));
    done.get_future().get();
    REQUIRE(seen.size() == 100);
    for (int i = 0; i < 100; ++i)
        CHECK(seen[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("LP-13 posting from the loop's own thread is allowed, and never runs inside the call") {
    eddy_test::run([]() -> task<void> {
        bool ran = false;
        CHECK(eddy::loop::current().post([&ran] { ran = true; }));
        CHECK_FALSE(ran);
        co_await eddy::yield();
        co_await eddy::yield();
        CHECK(ran);
    });
}

TEST_CASE("LP-14 a million posts from eight threads all run, once each") {
    constexpr int threads = 8;
    constexpr int each = 125'000;
    background b;
    std::vector<int> last(threads, -1);
    int wrong = 0; // the loop's
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t)
        posters.emplace_back([&, t, ref = b.ref] {
            int refused = 0;
            for (int i = 0; i < each; ++i)
                refused += !ref.post([&last, &wrong, t, i] {
                    int& before = last[static_cast<std::size_t>(t)];
                    wrong += before + 1 != i;
                    before = i;
                });
            CHECK(refused == 0);
        });
    for (auto& t : posters)
        t.join();
    std::promise<void> done;
    b.ref.post([&done] { done.set_value(); });
    done.get_future().get();
    CHECK(wrong == 0);
    for (const int n : last)
        CHECK(n == each - 1);
}

TEST_CASE("LP-16 after its end a loop refuses everything, from any thread, and drops what it was given") {
    loop_ref ref;
    std::atomic<int> dropped{0};
    {
        background b;
        ref = b.ref;
    }
    const auto f = [t = std::make_shared<tombstone>(dropped)] {};
    CHECK_FALSE(ref.post(f));
    std::thread other([&] {
        CHECK_FALSE(ref.post([] {}));
        ref.stop();
        auto alive = ref.keep_alive();
        auto r = ref.spawn(add(1, 2));
        CHECK(r.done());
        CHECK_THROWS_AS(r.get(), eddy::closed);
        r.cancel();
        auto q = ref.spawn(&add, 1, 2);
        CHECK_THROWS_AS(q.get(), eddy::closed);
    });
    other.join();
    // One that never had a loop.
    const loop_ref none;
    CHECK_FALSE(none.post([] {}));
    CHECK_THROWS_AS(none.spawn(add(1, 2)).get(), eddy::closed);
    none.stop();
    const auto kept = none.keep_alive();
}

TEST_CASE("LP-16 posting, spawning and cancelling while the loop closes: each is done, or refused") {
    for (int round = 0; round < 60; ++round) {
        std::atomic<int> accepted{0};
        std::atomic<int> ran{0};
        std::atomic<int> ended{0};
        std::atomic<int> spawned{0};
        std::vector<std::thread> others;
        {
            background b;
            for (int t = 0; t < 2; ++t)
                others.emplace_back([&, ref = b.ref] {
                    for (int i = 0; i < 50; ++i) {
                        accepted += ref.post([&ran] { ++ran; });
                        auto r = ref.spawn(&sleep_long);
                        ++spawned;
                        if (i % 2 == 0) r.cancel();
                        std::thread waiter;
                        if (i % 25 == 0) std::this_thread::yield();
                        // Every one of them ends: cancelled, or refused.
                        if (i >= 48) {
                            r.cancel();
                            try {
                                r.get();
                            } catch (const eddy::error&) {
                                ++ended;
                            }
                        }
                    }
                });
            if (round % 3 == 0) std::this_thread::yield();
            b.end();
            for (auto& t : others)
                t.join();
        }
        CHECK(ran == accepted);
        CHECK(ended == 4);
    }
}

TEST_CASE("LP-17 what was accepted before the end is run, though the loop never ran") {
    int ran = 0;
    {
        eddy::loop l;
        CHECK(l.post([&ran] { ++ran; }));
        CHECK(l.ref().post([&ran] { ++ran; }));
    }
    CHECK(ran == 2);
    // A task that is spawned too late is told.
    eddy::remote_task<int> late;
    {
        eddy::loop l;
        late = l.ref().spawn(add(1, 2));
    }
    CHECK_THROWS_AS(late.get(), eddy::closed);
}

TEST_CASE("LP-17 a posted function that posts for ever does not keep the loop from closing") {
    int ran = 0;
    std::function<void()> again;
    {
        eddy::loop l;
        const auto ref = l.ref();
        again = [&, ref] {
            ++ran;
            ref.post(again);
        };
        ref.post(again);
    }
    CHECK(ran == 1);
}

TEST_CASE("LP-17 LP-22 a posted function that throws is reported, and those after it run") {
    eddy_test::run([]() -> task<void> {
        std::string told;
        eddy::loop::current().set_exception_handler([&told](const eddy::error_context& c) { told = c.message; });
        bool after = false;
        const auto ref = eddy::loop::current().ref();
        ref.post([] { throw std::runtime_error("posted"); });
        ref.post([&after] { after = true; });
        co_await eddy::yield();
        co_await eddy::yield();
        CHECK(after);
        CHECK(told == "a posted function threw");
        CHECK_THROWS_AS(ref.post(nullptr), std::logic_error);
        eddy::loop::current().set_exception_handler(nullptr);
    });
}

TEST_CASE("TH-12 a task spawned from a thread gives its value or exception there, in all four forms") {
    background b;
    CHECK(b.ref.spawn(add(1, 2)).get() == 3);
    CHECK(b.ref.spawn(eddy::spawn_options().name("x"), add(2, 2)).get() == 4);
    CHECK(b.ref.spawn(&add, 3, 2).get() == 5);
    const auto named = [](std::unique_ptr<int> p) -> task<std::string> {
        co_return eddy::this_task::name() + std::to_string(*p);
    };
    CHECK(b.ref.spawn(eddy::spawn_options().name("n"), named, std::make_unique<int>(6)).get() == "n6");
    auto failing = b.ref.spawn(&fail);
    CHECK_THROWS_AS(failing.get(), std::runtime_error);
    CHECK(failing.done());
    CHECK_THROWS_AS(failing.get(), std::logic_error); // given away
    auto once = b.ref.spawn(add(1, 2));
    CHECK(once.get() == 3);
    CHECK_THROWS_AS(once.get(), std::logic_error);
    b.ref.spawn([]() -> task<void> { co_return; }).get();
    const auto move_only = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(8); };
    auto owner = b.ref.spawn(move_only).get();
    CHECK(*owner == 8);
    static int x = 0;
    const auto reference = []() -> task<int&> { co_return x; };
    CHECK(&b.ref.spawn(reference).get() == &x);
}

TEST_CASE("TH-12 a wait with a limit does not cancel; cancel() does, and get() says so") {
    background b;
    auto r = b.ref.spawn(&sleep_long);
    CHECK_FALSE(r.wait_for(1ms));
    CHECK_FALSE(r.wait_for(-1s));
    CHECK_FALSE(r.done());
    r.cancel(eddy::cancel_reason(eddy::cancel_kind::timeout, "no longer wanted"));
    r.cancel(eddy::cancel_reason(eddy::cancel_kind::shutdown, "too late a reason"));
    std::string text;
    try {
        r.get();
    } catch (const eddy::task_cancelled& e) {
        text = e.reason().text();
        CHECK(e.reason().kind() == eddy::cancel_kind::timeout);
    }
    CHECK(text == "no longer wanted");
    CHECK(r.done());
    CHECK(r.wait_for(std::chrono::hours::max())); // ended: at once
    r.cancel();
    auto quick = b.ref.spawn(add(1, 1));
    CHECK(quick.wait_for(std::chrono::nanoseconds::max())); // for ever, without overflow
}

TEST_CASE("TH-12 cancelling on the loop's own thread waits for nothing; get() there is an error") {
    eddy::loop l;
    const auto main = []() -> task<void> {
        const auto ref = eddy::loop::current().ref();
        auto r = ref.spawn(&sleep_long);
        CHECK_THROWS_AS(r.get(), std::logic_error); // not even started
        co_await eddy::yield();
        co_await eddy::yield();
        CHECK_THROWS_AS(r.get(), std::logic_error);
        CHECK_THROWS_AS(static_cast<void>(r.wait_for(1s)), std::logic_error);
        r.cancel();
        CHECK_FALSE(r.done());
        while (!r.done())
            co_await eddy::yield();
        CHECK_THROWS_AS(r.get(), eddy::task_cancelled);
        auto done = ref.spawn(add(1, 2));
        while (!done.done())
            co_await eddy::yield();
        CHECK(done.get() == 3); // it has ended: nothing to wait for
    };
    l.run(main());
    eddy_test::check_empty(l);
}

TEST_CASE("TH-13 a cancel right after the spawn still cancels, whether or not the task has started") {
    background b;
    std::atomic<int> finished{0};
    const auto body = [](std::atomic<int>& n) -> task<void> {
        co_await eddy::sleep(1h);
        ++n;
    };
    for (int i = 0; i < 500; ++i) {
        auto r = b.ref.spawn(body, std::ref(finished));
        r.cancel();
        CHECK_THROWS_AS(r.get(), eddy::task_cancelled);
    }
    CHECK(finished == 0);
}

TEST_CASE("TH-13 a task whose loop ends is cancelled, and so is one that was spawned after the end") {
    eddy::remote_task<void> r;
    loop_ref ref;
    {
        background b;
        ref = b.ref;
        r = ref.spawn(&sleep_long);
    }
    CHECK_THROWS_AS(r.get(), eddy::task_cancelled);
    auto late = ref.spawn(&sleep_long);
    late.cancel();
    CHECK_THROWS_AS(late.get(), eddy::closed);
}

TEST_CASE("thousands of tasks that end with their loop are all told") {
    std::vector<eddy::remote_task<void>> all;
    {
        background b;
        for (int i = 0; i < 5000; ++i)
            all.push_back(b.ref.spawn(&sleep_long));
    }
    int told = 0;
    for (auto& r : all) {
        try {
            r.get();
        } catch (const eddy::error&) {
            ++told;
        }
    }
    CHECK(told == 5000);
}

TEST_CASE("tasks that end in the last tick before stop() are told as well") {
    eddy::remote_task<int> r;
    {
        eddy::loop l;
        const auto stops = []() -> task<int> {
            eddy::loop::current().stop();
            co_return 5;
        };
        r = l.ref().spawn(stops);
        l.run();
    }
    CHECK(r.get() == 5);
}

TEST_CASE("a task that is destroyed unstarted by a closed loop goes with its arguments") {
    std::atomic<int> dropped{0};
    loop_ref ref;
    {
        background b;
        ref = b.ref;
    }
    const auto body = [](tombstone) -> task<void> { co_return; };
    {
        auto r = ref.spawn(body, tombstone(dropped));
        CHECK(r.done());
    }
    CHECK(dropped == 1);
}

TEST_CASE("an empty remote_task says so") {
    eddy::remote_task<int> r;
    CHECK_FALSE(r.valid());
    CHECK_THROWS_AS(r.get(), std::logic_error);
    CHECK_THROWS_AS(r.cancel(), std::logic_error);
    CHECK_THROWS_AS(static_cast<void>(r.done()), std::logic_error);
    CHECK_THROWS_AS(static_cast<void>(r.wait_for(1s)), std::logic_error);
}

TEST_CASE("a remote_task is copied, and used from several threads") {
    background b;
    auto r = b.ref.spawn(&sleep_long);
    std::vector<std::thread> waiting;
    std::atomic<int> told{0};
    for (int i = 0; i < 4; ++i)
        waiting.emplace_back([r, &told]() mutable {
            try {
                r.get();
            } catch (const eddy::task_cancelled&) {
                ++told;
            }
        });
    auto copy = r;
    copy.cancel();
    for (auto& t : waiting)
        t.join();
    CHECK(told == 4);
}

TEST_CASE("an exception in the spawned function itself comes back, too") {
    background b;
    const auto throws = [](int) -> task<void> { throw std::invalid_argument("in the coroutine"); };
    CHECK_THROWS_AS(b.ref.spawn(throws, 1).get(), std::invalid_argument);
    struct not_a_coroutine {
        task<int> operator()() const { throw std::out_of_range("before there was a task"); }
    };
    CHECK_THROWS_AS(b.ref.spawn(not_a_coroutine()).get(), std::out_of_range);
}

TEST_CASE("keep_alive is moved, dropped on any thread, and outlives its loop") {
    eddy::keep_alive outlives;
    {
        eddy::loop l;
        auto a = l.keep_alive();
        auto b = std::move(a);
        a = l.keep_alive();
        a = std::move(b);
        bool ended = false;
        std::thread t([kept = std::move(a), ref = l.ref(), &ended]() mutable {
            ref.post([&ended] { ended = true; });
            auto mine = std::move(kept);
        });
        l.run(); // returns when the last guard has gone
        t.join();
        CHECK(ended);
        outlives = l.keep_alive();
    }
}

TEST_CASE("keep_alive keeps a waiting main task from being called deadlocked") {
    eddy::loop l;
    const auto main = [](eddy::loop& mine) -> task<int> {
        int value = 0;
        eddy::task_handle<void> waiter;
        const auto forever = []() -> task<void> { co_await eddy::sleep_forever(); };
        waiter = eddy::spawn(forever);
        std::thread t([&value, &waiter, kept = mine.keep_alive(), ref = mine.ref()] {
            ref.post([&value, &waiter] {
                value = 9;
                waiter.cancel();
            });
        });
        const auto r = co_await eddy::settle(waiter);
        CHECK(r.is_cancelled());
        t.join();
        co_return value;
    };
    CHECK(l.run(main(l)) == 9);
    eddy_test::check_empty(l);
}
