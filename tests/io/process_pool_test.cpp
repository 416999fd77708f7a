#include <eddy/io/process_pool.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/gather.hpp>

#include "io/worker_functions.hpp"

#include <csignal>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

int not_registered(int x) { return x; }

} // namespace

TEST_CASE("PP-1 a function's value comes back, from another process, and an idle worker is used again") {
    run_pool([]() -> task<void> {
        process_pool pool(3);
        const int sum = co_await pool.run(add, 2, 3);
        CHECK(sum == 5);
        const int first = co_await pool.run(worker_pid);
        CHECK(first != ::getpid());
        const int parent = co_await pool.run(parent_of_worker);
        CHECK(parent == ::getpid());
        for (int i = 0; i < 20; ++i) {
            const int again = co_await pool.run(worker_pid);
            CHECK(again == first);
        }
        const process_pool_statistics s = pool.statistics();
        CHECK(s.workers_started == 1);
        CHECK(s.workers == 1);
        CHECK(s.idle == 1);
        CHECK(s.succeeded == 23);
        co_await pool.close();
        CHECK(pool.statistics().workers == 0);
    });
}

TEST_CASE("arguments and results of all sorts") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        co_await pool.run(nothing);
        const std::string b = "b";
        const std::string text = co_await pool.run(joined, "a", b, std::string("c"));
        CHECK(text == "abc");
        const std::vector<std::byte> bytes = many_bytes(300'000);
        const std::size_t n = co_await pool.run(count_bytes, bytes);
        CHECK(n == bytes.size());
        const std::vector<std::byte> same = co_await pool.run(echo_bytes, bytes);
        CHECK(same == bytes);
        tagged t;
        t.number = 6;
        t.text = "seven";
        const tagged changed = co_await pool.run(change, t);
        CHECK(changed.number == 7);
        CHECK(changed.text == "seven!");
        const std::vector<double> numbers(3, 1.5);
        const auto [count, some, doubles] = co_await pool.run(mixed, numbers);
        CHECK(count == 3);
        CHECK(some == "some");
        CHECK(doubles == std::vector<double>({1.5, 1.5, 1.5, 0.5}));
    });
}

TEST_CASE("16 MiB in both directions, several at a time") {
    run_pool([]() -> task<void> {
        process_pool pool(2);
        const std::vector<std::byte> big = many_bytes(std::size_t{16} << 20);
        auto both = gather(pool.run(echo_bytes, big), pool.run(echo_bytes, big), pool.run(many_bytes, big.size()));
        const auto [a, b, c] = co_await both;
        CHECK(a == big);
        CHECK(b == big);
        CHECK(c == big);
    });
}

TEST_CASE("jobs run side by side, and wait in one line when there are more than workers") {
    run_pool([]() -> task<void> {
        process_pool pool(2);
        std::vector<task_handle<int>> jobs;
        auto one = [](process_pool& p, int i) -> task<int> {
            const int r = co_await p.run(add, i, 1);
            co_return r;
        };
        for (int i = 0; i < 50; ++i)
            jobs.push_back(spawn(one, std::ref(pool), i));
        for (int i = 0; i < 50; ++i) {
            const int r = co_await jobs[static_cast<std::size_t>(i)];
            CHECK(r == i + 1);
        }
        const process_pool_statistics s = pool.statistics();
        CHECK(s.workers_started == 2);
        CHECK(s.succeeded == 50);
        CHECK(s.queued == 0);
        CHECK(s.running == 0);
    });
}

TEST_CASE("PP-1 an exception comes back with its type and its text, and the worker goes on") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        const int before = co_await pool.run(worker_pid);
        auto thrown = error_of<remote_error>(pool.run(throw_error, "no seventh element"));
        const auto e = co_await std::move(thrown);
        REQUIRE(e);
        CHECK(e->type_name() == "std::out_of_range");
        CHECK(e->what() == std::string("no seventh element"));
        auto number = error_of<remote_error>(pool.run(throw_number));
        const auto n = co_await std::move(number);
        REQUIRE(n);
        CHECK(n->type_name() == "int");
        CHECK(n->what() == std::string());
        auto cancel = error_of<remote_error>(pool.run(eddy_test::throw_cancelled));
        const auto c = co_await std::move(cancel);
        REQUIRE(c);
        CHECK(c->type_name() == "eddy::cancelled");
        const int after = co_await pool.run(worker_pid);
        CHECK(after == before);
        CHECK(pool.statistics().threw == 3);
    });
}

TEST_CASE("PP-4 a worker that dies fails its own job, whatever it died of; the others do not notice") {
    run_pool([]() -> task<void> {
        process_pool pool(2);
        auto other = [](process_pool& p) -> task<int> {
            int sum = 0;
            for (int i = 0; i < 200; ++i)
                sum += co_await p.run(add, i, 0);
            co_return sum;
        };
        auto handle = spawn(other, std::ref(pool));
        for (const int s : {SIGKILL, SIGSEGV, SIGABRT, SIGTERM}) {
            auto dying = error_of<worker_died>(pool.run(die_of, s));
            const auto e = co_await std::move(dying);
            REQUIRE(e);
            CHECK(e->term_signal() == s);
            CHECK(e->exit_code() == 0);
            CHECK(e->pid() > 0);
            CHECK(contains(e->what(), "die_of"));
        }
        for (const int code : {0, 3}) {
            auto dying = error_of<worker_died>(pool.run(exit_quickly_with, code));
            const auto e = co_await std::move(dying);
            REQUIRE(e);
            CHECK(e->exit_code() == code);
            CHECK(e->term_signal() == 0);
        }
        auto ending = error_of<worker_died>(pool.run(exit_with, 5));
        const auto e = co_await std::move(ending);
        REQUIRE(e);
        CHECK(e->exit_code() == 5);
        CHECK(contains(e->what(), "exit 5"));
        const int sum = co_await handle;
        CHECK(sum == 199 * 200 / 2);
        const process_pool_statistics s = pool.statistics();
        CHECK(s.died == 7);
        CHECK(s.succeeded == 200);
        CHECK(s.workers_failed == 7);
    });
}

TEST_CASE("PP-4 an answer that a worker gave before it died counts") {
    run_pool([]() -> task<void> {
        process_pool_options o;
        o.max_tasks_per_worker(1); // or the next job might be on its way to the dying one
        process_pool pool(1, o);
        for (std::uint64_t id = 1; id <= 20; ++id) {
            const int answer = co_await pool.run(answer_and_die, id, 17, SIGKILL);
            CHECK(answer == 17);
        }
        CHECK(pool.statistics().succeeded == 20);
    });
}

TEST_CASE("a worker that was killed while it was idle costs no job") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        for (int i = 0; i < 5; ++i) {
            const int pid = co_await pool.run(worker_pid);
            ::kill(pid, SIGKILL);
            // It is dead once it can be seen as a zombie, or has been reaped.
            siginfo_t info{};
            ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
            const int sum = co_await pool.run(add, i, i);
            CHECK(sum == 2 * i);
        }
        CHECK(pool.statistics().died == 0);
        CHECK(pool.statistics().workers_failed == 5);
    });
}

TEST_CASE("max_tasks_per_worker replaces workers in time, and that is no failure") {
    run_pool([]() -> task<void> {
        process_pool_options o;
        o.max_tasks_per_worker(3);
        process_pool pool(1, o);
        std::set<int> pids;
        for (int i = 0; i < 9; ++i) {
            const int pid = co_await pool.run(worker_pid);
            pids.insert(pid);
        }
        CHECK(pids.size() == 3);
        CHECK(pool.statistics().workers_failed == 0);
        co_await pool.close();
        CHECK(pool.statistics().workers_failed == 0);
    });
}

TEST_CASE("PP-5 ending idle workers never takes the one that was just picked") {
    run_pool([]() -> task<void> {
        process_pool_options o;
        o.idle_timeout(1ms);
        process_pool pool(2, o);
        for (int i = 0; i < 60; ++i) {
            // Around the moment at which the timer fires.
            co_await sleep(std::chrono::microseconds(900 + 10 * i));
            const int sum = co_await pool.run(add, i, 1);
            CHECK(sum == i + 1);
        }
        const process_pool_statistics s = pool.statistics();
        CHECK(s.succeeded == 60);
        CHECK(s.died == 0);
        CHECK(s.workers_failed == 0);
        // And they do end: nothing else makes the count go down.
        while (pool.statistics().workers != 0)
            co_await sleep(1ms);
    });
}

TEST_CASE("misuse is told") {
    run_pool([]() -> task<void> {
        CHECK(contains(text_of<std::logic_error>([] { process_pool pool(0); }), "process_pool(0)"));
        CHECK(contains(text_of<std::logic_error>([] { process_pool pool(-3); }), "process_pool(-3)"));
        CHECK(contains(text_of<std::logic_error>([] { process_pool pool(2000); }), "from 1 to 1024"));
        CHECK(contains(text_of<std::logic_error>([] {
                           process_pool_options o;
                           o.variable("A=B", "c");
                           process_pool pool(1, o);
                       }),
                       "A=B"));
        CHECK(contains(text_of<std::logic_error>([] {
                           process_pool_options o;
                           o.on_output(nullptr);
                           process_pool pool(1, o);
                       }),
                       "empty function"));
        process_pool_options o;
        o.max_message_size(100);
        process_pool pool(1, o);
        CHECK(contains(text_of<std::logic_error>([&] { static_cast<void>(pool.run(not_registered, 1)); }),
                       "EDDY_PROCESS_FUNCTION"));
        const std::vector<std::byte> bytes(200);
        CHECK(
            contains(text_of<std::length_error>([&] { static_cast<void>(pool.run(echo_bytes, bytes)); }), "208 bytes"));
        tagged t;
        t.number = -1;
        CHECK(contains(text_of<std::runtime_error>([&] { static_cast<void>(pool.run(change, t)); }), "-1"));
        auto over = error_of<remote_error>(pool.run(many_bytes, std::size_t{200}));
        const auto e = co_await std::move(over);
        REQUIRE(e);
        CHECK(e->type_name() == "std::length_error");
        CHECK(contains(e->what(), "many_bytes"));

        auto op = pool.run(add, 1, 1);
        const int two = co_await op;
        CHECK(two == 2);
        bool twice = false;
        try {
            static_cast<void>(co_await op);
        } catch (const std::logic_error&) {
            twice = true;
        }
        CHECK(twice);
    });
    // Simulated loops have no processes.
    eddy_test::run([]() -> task<void> {
        process_pool pool(1);
        bool refused = false;
        try {
            static_cast<void>(co_await pool.run(add, 1, 1));
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
    });
}

TEST_CASE("a pool may be made before its loop, outlive it, and work for the next one") {
    const nothing_left checked;
    process_pool pool(1);
    auto body = [](process_pool& p) -> task<int> {
        const int sum = co_await p.run(add, 20, 1);
        co_return sum;
    };
    CHECK(eddy::run(body(pool)) == 21);
    CHECK_FALSE(has_children());
    CHECK(eddy::run(body(pool)) == 21);
    CHECK(pool.statistics().workers_started == 2);
    CHECK(pool.statistics().workers == 0);
}

TEST_CASE("two loops at a time can't share a pool") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        co_await pool.run(nothing);
        std::string text;
        std::thread other([&] {
            auto body = [](process_pool& p) -> task<void> { co_await p.run(nothing); };
            text = text_of<std::logic_error>([&] { eddy::run(body(pool)); });
        });
        other.join();
        CHECK(contains(text, "another loop"));
    });
}

TEST_CASE("the environment of workers, and their descriptors") {
    run_pool([]() -> task<void> {
        // Not close-on-exec in this process: it must not live on in the worker.
        const int inherited = ::dup(1);
        process_pool_options o;
        o.variable("EDDY_TEST_A", "one").variable("EDDY_TEST_A", "two");
        process_pool pool(2, o);
        const std::string value = co_await pool.run(variable_of_worker, std::string("EDDY_TEST_A"));
        CHECK(value == "two");
        const std::vector<int> open = co_await pool.run(descriptors);
        CHECK(open == std::vector<int>({0, 1, 2, 3}));
        const std::string input = co_await pool.run(read_input);
        CHECK(input.empty());
        ::close(inherited);
    });
}
