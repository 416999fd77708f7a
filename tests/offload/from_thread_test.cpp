#include <eddy/offload/from_thread.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/offload/thread_pool.hpp>

#include "offload/aside.hpp"
#include "offload/gate.hpp"
#include "support/check.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::offload;
using eddy::offload_abandon;
using eddy::task;
using eddy::thread_pool;
using eddy_test::contains;
using eddy_test::for_ever;
using eddy_test::gate;
using eddy_test::holds;
using eddy_test::joined;
using eddy_test::run_real;
using eddy_test::text_of;
using eddy_test::until_arrived;
namespace from_thread = eddy::from_thread;

namespace {

task<int> add_later(int a, int b) {
    co_await eddy::sleep(1us);
    co_return a + b;
}

// What f() threw, by name.
template <class F>
std::string thrown_by(F f) {
    try {
        f();
    } catch (const eddy::cancelled& c) {
        return "cancelled " + std::string(to_string(c.reason().kind()));
    } catch (const eddy::closed&) {
        return "closed";
    } catch (const eddy::task_cancelled&) {
        return "task_cancelled";
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

// Each way to run a function elsewhere.
enum class by { offload, abandon, pool, pool_abandon };
constexpr by all_ways[] = {by::offload, by::abandon, by::pool, by::pool_abandon};

template <class F>
task<std::invoke_result_t<F>> call(by way, thread_pool& pool, F f) {
    switch (way) {
    case by::offload: {
        auto op = offload(std::move(f));
        co_return co_await op;
    }
    case by::abandon: {
        auto op = offload_abandon(std::move(f));
        co_return co_await op;
    }
    case by::pool: {
        auto op = pool.run(std::move(f));
        co_return co_await op;
    }
    default: {
        auto op = pool.run_abandon(std::move(f));
        co_return co_await op;
    }
    }
}

} // namespace

TEST_CASE("TH-10 a job runs a coroutine on its loop, and gets its value or exception, from every kind of thread") {
    for (const by way : all_ways) {
        CAPTURE(static_cast<int>(way));
        run_real([way]() -> task<void> {
            thread_pool pool(1);
            const auto home = std::this_thread::get_id();
            const int sum = co_await call(way, pool, [] { return from_thread::run(add_later, 2, 3); });
            CHECK(sum == 5);
            const int lazy = co_await call(way, pool, [] { return from_thread::run(add_later(4, 5)); });
            CHECK(lazy == 9);
            const auto where = co_await call(way, pool, [] { return from_thread::run(std::this_thread::get_id); });
            CHECK(where == home);
            const std::string failed = co_await call(way, pool, [] {
                return thrown_by([] { from_thread::run([] { throw std::runtime_error("from the loop"); }); });
            });
            CHECK(failed == "from the loop");
            const int moved = co_await call(way, pool, [] {
                auto p = from_thread::run([](std::unique_ptr<int> q) { return q; }, std::make_unique<int>(6));
                return *p;
            });
            CHECK(moved == 6);
            int number = 0;
            const bool same = co_await call(way, pool, [&number] {
                int& n = from_thread::run([&number]() -> int& { return number; });
                return &n == &number;
            });
            CHECK(same);
        });
    }
}

TEST_CASE("TH-10 what a job runs belongs to the task that awaits it: it is cancelled with it, and joined first") {
    for (const by way : all_ways) {
        CAPTURE(static_cast<int>(way));
        auto text = std::make_shared<std::promise<std::string>>();
        auto told = text->get_future();
        run_real([&]() -> task<void> {
            thread_pool pool(1);
            bool began = false;
            bool ended = false;
            const auto body = [](by how, thread_pool& p, bool& b, bool& e,
                                 std::shared_ptr<std::promise<std::string>> out) -> task<void> {
                const auto inner = [](bool* in, bool* gone) -> task<void> {
                    eddy_test::at_end last([gone] { *gone = true; });
                    *in = true;
                    co_await for_ever();
                };
                auto op = call(how, p, [out, inner, in = &b, gone = &e] {
                    out->set_value(thrown_by([&] { from_thread::run(inner, in, gone); }));
                    from_thread::check_cancelled();
                });
                co_await std::move(op);
            };
            auto h = eddy::spawn(body, way, std::ref(pool), std::ref(began), std::ref(ended), text);
            while (!began)
                co_await eddy::sleep(1ms);
            h.cancel(eddy::cancel_reason(eddy::cancel_kind::timeout));
            co_await joined(h);
            CHECK(h.was_cancelled());
            if (way == by::offload || way == by::pool) CHECK(ended);
            while (told.wait_for(0s) != std::future_status::ready)
                co_await eddy::sleep(1ms);
            CHECK(ended);
            CHECK(told.get() == "cancelled timeout");
            co_await pool.close();
        });
    }
}

TEST_CASE("a task that somebody else cancels is task_cancelled to the job") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        eddy::any_task_handle child;
        auto op = pool.run([&child] {
            return thrown_by([&child] {
                from_thread::run(
                    [](eddy::any_task_handle* h) -> task<void> {
                        *h = eddy::this_task::handle();
                        co_await for_ever();
                    },
                    &child);
            });
        });
        const auto body = [](decltype(op)& o) -> task<std::string> { co_return co_await o; };
        auto h = eddy::spawn(body, std::ref(op));
        while (!child.valid())
            co_await eddy::sleep(1ms);
        child.cancel();
        const std::string text = co_await h;
        CHECK(text == "task_cancelled");
    });
}

TEST_CASE("TH-9 a job learns soon that whoever awaits it was cancelled, and why") {
    for (const by way : all_ways) {
        CAPTURE(static_cast<int>(way));
        auto g = std::make_shared<gate>();
        auto text = std::make_shared<std::promise<std::string>>();
        auto told = text->get_future();
        run_real([&]() -> task<void> {
            thread_pool pool(1);
            const auto body = [](by how, thread_pool& p, std::shared_ptr<gate> mine,
                                 std::shared_ptr<std::promise<std::string>> out) -> task<void> {
                auto op = call(how, p, [mine, out] {
                    const bool before = from_thread::cancel_requested();
                    from_thread::check_cancelled();
                    mine->wait();
                    while (!from_thread::cancel_requested())
                        std::this_thread::yield();
                    out->set_value((before ? "too early " : "") + thrown_by(&from_thread::check_cancelled) + " " +
                                   thrown_by([] { from_thread::run(add_later, 1, 2); }) +
                                   (from_thread::post([] {}) ? " posted" : ""));
                    from_thread::check_cancelled();
                });
                co_await std::move(op);
            };
            auto h = eddy::spawn(body, way, std::ref(pool), g, text);
            co_await until_arrived(*g, 1);
            g->open();
            h.cancel(eddy::cancel_reason(eddy::cancel_kind::shutdown));
            co_await joined(h);
            CHECK(h.was_cancelled());
            CHECK(told.get() == "cancelled shutdown cancelled shutdown");
            co_await pool.close();
        });
    }
}

TEST_CASE("TH-9 TH-10 on threads that run no job, and on a loop's own, from_thread is an error") {
    const auto every = [] {
        return thrown_by([] { static_cast<void>(from_thread::cancel_requested()); }) + "|" +
               thrown_by(&from_thread::check_cancelled) + "|" + thrown_by([] { from_thread::run(add_later, 1, 2); }) +
               "|" + thrown_by([] { from_thread::post([] {}); });
    };
    std::string there;
    std::thread([&] { there = every(); }).join();
    CHECK(contains(there, "from_thread::cancel_requested() on a thread that runs no job"));
    CHECK(contains(there, "from_thread::check_cancelled() on a thread that runs no job"));
    CHECK(contains(there, "from_thread::run() on a thread that runs no job"));
    CHECK(contains(there, "from_thread::post() on a thread that runs no job"));
    run_real([&]() -> task<void> {
        const std::string here = every();
        CHECK(contains(here, "from_thread::run() on the thread of a loop"));
        thread_pool pool(1);
        // A loop that a job runs for itself is a loop's thread, too.
        auto nests = pool.run([] {
            const auto inner = []() -> task<std::string> {
                co_return thrown_by([] { from_thread::run(add_later, 1, 2); });
            };
            return eddy::run(inner());
        });
        const std::string nested = co_await nests;
        CHECK(contains(nested, "where a loop runs on this thread"));
        // After a job its thread runs none.
        auto after = pool.run([] { return from_thread::cancel_requested(); });
        const bool asked = co_await after;
        CHECK_FALSE(asked);
    });
}

TEST_CASE("TH-11 a thread that waits for its loop makes room: nested calls on a pool of one thread do not deadlock") {
    struct nest {
        static task<int> down(thread_pool& pool, int depth) {
            if (depth == 0) co_return 1;
            auto op = pool.run([&pool, depth] { return from_thread::run(down, std::ref(pool), depth - 1) + 1; });
            co_return co_await op;
        }
    };
    run_real([]() -> task<void> {
        thread_pool pool(1);
        std::vector<eddy::task_handle<int>> users;
        for (int i = 0; i < 4; ++i)
            users.push_back(eddy::spawn(nest::down, std::ref(pool), 6));
        for (auto& h : users) {
            const int depth = co_await h;
            CHECK(depth == 7);
        }
        // Back to one.
        std::atomic<int> at_a_time = 0;
        std::atomic<int> most = 0;
        const auto one = [](thread_pool& p, std::atomic<int>& n, std::atomic<int>& high) -> task<void> {
            auto op = p.run([&] {
                const int now = ++n;
                if (now > high) high = now;
                std::this_thread::yield();
                --n;
            });
            co_await op;
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 500; ++i)
            all.push_back(eddy::spawn(one, std::ref(pool), std::ref(at_a_time), std::ref(most)));
        for (auto& h : all)
            co_await h;
        CHECK(most == 1);
        co_await pool.close();
    });
}

TEST_CASE("TH-11 nested calls on libuv's pool do not deadlock either") {
    struct nest {
        static task<int> down(int depth) {
            if (depth == 0) co_return 1;
            auto op = offload([depth] { return from_thread::run(down, depth - 1) + 1; });
            co_return co_await op;
        }
    };
    run_real([]() -> task<void> {
        std::vector<eddy::task_handle<int>> users;
        for (int i = 0; i < 6; ++i)
            users.push_back(eddy::spawn(nest::down, 4));
        for (auto& h : users) {
            const int depth = co_await h;
            CHECK(depth == 5);
        }
    });
}

TEST_CASE("what a job posts runs on the loop, in order, and before the await of the job ends") {
    for (const by way : all_ways) {
        CAPTURE(static_cast<int>(way));
        run_real([way]() -> task<void> {
            thread_pool pool(1);
            for (int round = 0; round < 50; ++round) {
                std::vector<int> seen;
                const auto home = std::this_thread::get_id();
                bool elsewhere = false;
                const bool all = co_await call(way, pool, [&] {
                    bool ok = true;
                    for (int i = 0; i < 20; ++i)
                        ok = from_thread::post([&seen, &elsewhere, home, i] {
                                 seen.push_back(i);
                                 elsewhere = elsewhere || std::this_thread::get_id() != home;
                             }) &&
                             ok;
                    return ok;
                });
                CHECK(all);
                CHECK(seen.size() == 20);
                for (std::size_t i = 0; i < seen.size(); ++i)
                    CHECK(seen[i] == static_cast<int>(i));
                CHECK_FALSE(elsewhere);
            }
        });
    }
}

TEST_CASE("what was posted does not run once the awaiting task is cancelled, and is destroyed") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        gate posted;
        gate go_on;
        bool ran = false;
        auto owner = std::make_shared<int>(0);
        const auto body = [](thread_pool& p, gate& first, gate& second, bool& r,
                             std::shared_ptr<int> kept) -> task<void> {
            auto op = p.run([&first, &second, &r, kept] {
                from_thread::post([&r, kept] { r = true; });
                first.wait();
                second.wait();
            });
            co_await op;
        };
        auto h = eddy::spawn(body, std::ref(pool), std::ref(posted), std::ref(go_on), std::ref(ran), owner);
        co_await eddy::yield();
        co_await eddy::yield();
        posted.await_arrivals(1); // it has posted, and the loop has not looked
        h.cancel();
        posted.open();
        go_on.open();
        co_await joined(h);
        CHECK_FALSE(ran);
        CHECK(owner.use_count() == 1);
    });
}

TEST_CASE("what a posted function throws goes to the exception handler, and the others run") {
    run_real([]() -> task<void> {
        eddy_test::told handler;
        thread_pool pool(1);
        int ran = 0;
        auto op = pool.run([&ran] {
            from_thread::post([] { throw std::runtime_error("posted"); });
            from_thread::post([&ran] { ++ran; });
        });
        co_await op;
        CHECK(ran == 1);
        CHECK(handler.lines == std::vector<std::string>{"a function that a job had posted threw||posted"});
    });
}

TEST_CASE("TH-14 a thread blocked in from_thread::run gets `closed` when its pool is destroyed; the task is joined") {
    run_real([]() -> task<void> {
        auto pool = std::make_unique<thread_pool>(1);
        std::string text;
        std::string after;
        bool began = false;
        bool ended = false;
        const auto inner = [](bool* in, bool* gone) -> task<void> {
            eddy_test::at_end last([gone] { *gone = true; });
            *in = true;
            co_await for_ever();
        };
        auto op = pool->run([&] {
            text = thrown_by([&] { from_thread::run(inner, &began, &ended); });
            after = thrown_by([&] { from_thread::run(add_later, 1, 2); });
            after += from_thread::post([] {}) ? " posted" : " refused";
        });
        const auto waits = [](decltype(op)& o, bool& gone) -> task<bool> {
            co_await o;
            co_return gone;
        };
        auto h = eddy::spawn(waits, std::ref(op), std::ref(ended));
        while (!began)
            co_await eddy::sleep(1ms);
        pool.reset();
        CHECK(text == "closed");
        CHECK(after == "closed refused");
        CHECK_FALSE(h.done());
        const bool joined_first = co_await h;
        CHECK(joined_first);
    });
}

TEST_CASE("TH-14 a call that the loop has not looked at when the pool is destroyed never runs") {
    run_real([]() -> task<void> {
        auto pool = std::make_unique<thread_pool>(1);
        gate g;
        std::string text;
        bool ran = false;
        auto op = pool->run([&] {
            g.wait();
            text = thrown_by([&] { from_thread::run([&ran] { ran = true; }); });
        });
        const auto waits = [](decltype(op)& o) -> task<void> { co_await o; };
        auto h = eddy::spawn(waits, std::ref(op));
        co_await until_arrived(g, 1);
        g.open();
        pool.reset();
        CHECK(text == "closed");
        co_await h;
        CHECK_FALSE(ran);
    });
}

TEST_CASE("TH-14 an abandoned job whose loop has ended is told so, and does not hang") {
    for (const bool in_pool : {false, true}) {
        CAPTURE(in_pool);
        auto g = std::make_shared<gate>();
        auto text = std::make_shared<std::promise<std::string>>();
        thread_pool pool(1);
        run_real([&]() -> task<void> {
            const auto body = [](by how, thread_pool& p, std::shared_ptr<gate> mine,
                                 std::shared_ptr<std::promise<std::string>> out) -> task<void> {
                auto op = call(how, p, [mine, out] {
                    from_thread::run([] {}); // the loop knows us
                    mine->wait();
                    std::string s = thrown_by([] { from_thread::run(add_later, 1, 2); });
                    s += from_thread::post([] {}) ? " posted" : " refused";
                    out->set_value(s);
                });
                co_await std::move(op);
            };
            auto h = eddy::spawn(body, in_pool ? by::pool_abandon : by::abandon, std::ref(pool), g, text);
            co_await until_arrived(*g, 1);
            h.cancel();
            co_await joined(h);
        });
        g->open();
        CHECK(text->get_future().get() == "closed refused");
    }
}

TEST_CASE("TH-14 a thread blocked in from_thread::run while its loop shuts down is let go") {
    auto text = std::make_shared<std::promise<std::string>>();
    thread_pool pool(1);
    const auto main = [](thread_pool& p, std::shared_ptr<std::promise<std::string>> out) -> task<void> {
        bool began = false;
        const auto body = [](thread_pool& q, bool* in, std::shared_ptr<std::promise<std::string>> told) -> task<void> {
            auto op = q.run_abandon([in, told] {
                told->set_value(thrown_by([&] {
                    from_thread::run(
                        [](bool* b) -> task<void> {
                            *b = true;
                            co_await for_ever();
                        },
                        in);
                }));
            });
            co_await op;
        };
        eddy::spawn(body, std::ref(p), &began, out);
        while (!began)
            co_await eddy::sleep(1ms);
    };
    eddy::run(main(pool, text));
    CHECK(text->get_future().get() == "cancelled shutdown");
}

TEST_CASE("on simulated time a job may post and ask; run() would wait for itself") {
    eddy_test::run([]() -> task<void> {
        thread_pool pool(1);
        for (const by way : all_ways) {
            int ran = 0;
            const std::string text = co_await call(way, pool, [&ran] {
                from_thread::check_cancelled();
                from_thread::post([&ran] { ++ran; });
                return thrown_by([] { from_thread::run(add_later, 1, 2); });
            });
            CHECK(ran == 1);
            CHECK(contains(text, "it would wait for itself"));
        }
    });
}

TEST_CASE("thousands of calls back and forth, with cancellations") {
    run_real([]() -> task<void> {
        thread_pool pool(3);
        int ended = 0;
        const auto one = [](thread_pool& p, int& n, int i) -> task<void> {
            auto op = p.run([i, &n] {
                for (int k = 0; k < 3; ++k) {
                    from_thread::post([&n] { ++n; });
                    if (from_thread::run(add_later, i, k) != i + k) std::abort();
                }
            });
            co_await op;
        };
        for (int round = 0; round < 10; ++round) {
            std::vector<eddy::task_handle<void>> all;
            for (int i = 0; i < 60; ++i)
                all.push_back(eddy::spawn(one, std::ref(pool), std::ref(ended), i));
            for (int i = 0; i < round; ++i)
                co_await eddy::sleep(50us);
            for (std::size_t i = 0; i < all.size(); i += 3)
                all[i].cancel();
            for (auto& h : all)
                co_await joined(h);
        }
        CHECK(ended >= 10 * 40 * 3);
        co_await pool.close();
    });
}
