#include <eddy/io/signal.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/timeout.hpp>

#include "io/real.hpp"

#include <csignal>
#include <optional>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

task<int> next_of(signal_set& s) {
    auto op = s.next();
    co_return co_await op;
}

bool is_default(int signum) {
    struct sigaction now = {};
    ::sigaction(signum, nullptr, &now);
    return now.sa_handler == SIG_DFL;
}

} // namespace

TEST_CASE("a signal wakes who waits for it, and only while it is watched") {
    run_real([]() -> task<void> {
        {
            signal_set set{SIGUSR1, SIGUSR2};
            auto h = spawn(next_of, std::ref(set));
            co_await yield();
            CHECK_FALSE(h.done());
            ::raise(SIGUSR2);
            const int n = co_await h;
            CHECK(n == SIGUSR2);
            CHECK(set.pending() == 0);
            CHECK_FALSE(is_default(SIGUSR1));
        }
        CHECK(is_default(SIGUSR1));
        CHECK(is_default(SIGUSR2));
    });
}

TEST_CASE("signals between two next() are counted, and none is lost") {
    run_real([]() -> task<void> {
        signal_set set{SIGUSR1, SIGUSR2, SIGUSR1};
        ::raise(SIGUSR2);
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        while (set.pending() < 3)
            co_await sleep(1ms);
        int n = co_await next_of(set);
        CHECK(n == SIGUSR2);
        CHECK(set.pending() == 2);
        n = co_await next_of(set);
        CHECK(n == SIGUSR1);
        n = co_await next_of(set);
        CHECK(n == SIGUSR2);
        CHECK(set.pending() == 0);
    });
}

TEST_CASE("several wait, first come, first served") {
    run_real([]() -> task<void> {
        signal_set set{SIGUSR1, SIGUSR2};
        auto a = spawn(next_of, std::ref(set));
        auto b = spawn(next_of, std::ref(set));
        co_await yield();
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        const int first = co_await a;
        const int second = co_await b;
        CHECK(first == SIGUSR1);
        CHECK(second == SIGUSR2);
    });
}

TEST_CASE("a cancelled next() loses no signal") {
    run_real([]() -> task<void> {
        signal_set set{SIGUSR1};
        auto limited = move_on_after(5ms, set.next());
        const std::optional<int> none = co_await limited;
        CHECK_FALSE(none.has_value());
        ::raise(SIGUSR1);
        const int n = co_await next_of(set);
        CHECK(n == SIGUSR1);
    });
}

TEST_CASE("X-1 a signal that was granted and not taken is given to the next") {
    run_real([]() -> task<void> {
        signal_set set{SIGUSR1, SIGUSR2};
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        {
            auto op = set.next();
            const int n = co_await op;
            CHECK(n == SIGUSR1);
        }
        context here{&detail::root_of(loop::current())};
        {
            auto op = set.next();
            op.bind(here);
            const bool done = op.start();
            CHECK(done);
            CHECK(set.pending() == 0);
        }
        CHECK(set.pending() == 1);
        const int n = co_await next_of(set);
        CHECK(n == SIGUSR2);
    });
}

TEST_CASE("what can't be watched is a logic_error that names it") {
    run_real([]() -> task<void> {
        const auto watch = [](int n) { return text_of<std::logic_error>([n] { const signal_set set{n}; }); };
        CHECK(watch(SIGKILL) == "eddy: SIGKILL can't be watched");
        CHECK(watch(SIGSTOP) == "eddy: SIGSTOP can't be watched");
        CHECK(watch(0) == "eddy: signal 0 can't be watched");
        CHECK(watch(-3) == "eddy: signal -3 can't be watched");
        CHECK(watch(1000) == "eddy: signal 1000 can't be watched");
        CHECK(contains(text_of<std::logic_error>([] { const signal_set set({}); }), "got none"));
        co_return;
    });
    eddy_test::run([]() -> task<void> {
        CHECK_THROWS_AS(signal_set({SIGUSR1}), std::logic_error);
        co_return;
    });
    CHECK_THROWS_AS(signal_set({SIGUSR1}), no_running_loop);
}

TEST_CASE("a set that is destroyed or moved over wakes who waits for it") {
    run_real([]() -> task<void> {
        std::optional<signal_set> set;
        set.emplace(signal_set{SIGUSR1});
        auto a = spawn(next_of, std::ref(*set));
        co_await yield();
        set.reset();
        CHECK_THROWS_AS(co_await a, object_destroyed);

        signal_set one{SIGUSR1};
        auto b = spawn(next_of, std::ref(one));
        co_await yield();
        one = signal_set{SIGUSR2};
        CHECK_THROWS_AS(co_await b, object_destroyed);
        CHECK(is_default(SIGUSR1));
        ::raise(SIGUSR2);
        const int n = co_await next_of(one);
        CHECK(n == SIGUSR2);
        signal_set two = std::move(one);
        CHECK_THROWS_AS(static_cast<void>(co_await next_of(one)), std::logic_error);
        CHECK(one.pending() == 0);
    });
}

TEST_CASE("X-6 a set belongs to its loop, and may outlive it") {
    const nothing_left checked;
    std::optional<signal_set> set;
    {
        loop l;
        const auto main = [](std::optional<signal_set>& into) -> task<void> {
            into.emplace(signal_set{SIGUSR1});
            co_return;
        };
        l.run(main(set));
        loop other;
        CHECK_THROWS_AS(static_cast<void>(other.run(next_of(*set))), std::logic_error);
    }
    CHECK(is_default(SIGUSR1));
    set.reset();
}

TEST_CASE("waiting for a signal is no deadlock, and the dump says what is waited for") {
    run_real([]() -> task<void> {
        signal_set set{SIGUSR1, SIGWINCH};
        auto h = spawn(next_of, std::ref(set));
        co_await yield();
        std::ostringstream dump;
        loop::current().dump_tasks(dump);
        CHECK(contains(dump.str(), "signal SIGUSR1 SIGWINCH"));
        loop::current().call_later(5ms, [] { ::raise(SIGWINCH); });
        const int n = co_await h;
        CHECK(n == SIGWINCH);
    });
}

TEST_CASE("SIGINT belongs to the set when run leaves it alone") {
    const nothing_left checked;
    const auto main = []() -> task<int> {
        signal_set set{SIGINT, SIGTERM};
        ::raise(SIGINT);
        ::raise(SIGTERM);
        const int a = co_await next_of(set);
        const int b = co_await next_of(set);
        co_return a * 100 + b;
    };
    CHECK(eddy::run(main(), run_options().handle_sigint(false)) == SIGINT * 100 + SIGTERM);
}

TEST_CASE("signals have names") {
    CHECK(signal_name(SIGTERM) == "SIGTERM");
    CHECK(signal_name(SIGRTMIN) == "SIGRTMIN");
    CHECK(signal_name(SIGRTMIN + 2) == "SIGRTMIN+2");
    CHECK(signal_name(1234) == "signal 1234");
}
