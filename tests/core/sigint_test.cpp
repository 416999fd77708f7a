// Ctrl-C: RN-6 of docs/semantics.md. Each case in a process of its own.
#include <eddy/core/run.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/shield.hpp>

#include <support/check.hpp>
#include <support/child.hpp>

#include <csignal>
#include <thread>

using namespace eddy;
using namespace eddy_test;

namespace {

// Sends SIGINT to this process from a thread, after the loop went to sleep.
std::thread interrupt_after(duration d, int times = 1) {
    return std::thread([d, times] {
        for (int i = 0; i < times; ++i) {
            std::this_thread::sleep_for(d);
            kill(getpid(), SIGINT);
        }
    });
}
bool default_action() {
    struct sigaction now{};
    sigaction(SIGINT, nullptr, &now);
    return now.sa_handler == SIG_DFL;
}

} // namespace

TEST_CASE("RN-6 the first SIGINT cancels the main task; its cleanup runs, all is joined, then `interrupted`") {
    const child_end end = in_child([] {
        std::string order;
        auto t = interrupt_after(10ms);
        try {
            eddy::run([](std::string* o) -> task<> {
                spawn(
                    [](std::string* x) -> task<> {
                        try {
                            co_await sleep_forever();
                        } catch (const cancelled&) {
                            *x += "leftover,";
                            throw;
                        }
                    },
                    o);
                try {
                    co_await sleep(1h);
                } catch (const cancelled& c) {
                    *o += std::string(to_string(c.reason().kind())) + ",";
                }
                co_await shield(sleep(1ms));
                *o += "cleaned,";
                co_await checkpoint();
            }(&order));
            return 1;
        } catch (const interrupted&) {
        }
        t.join();
        if (order != "interrupt,cleaned,leftover,") return 2;
        return default_action() ? 0 : 3;
    });
    CHECK(end.text == "");
    CHECK(end.exited);
    CHECK(end.code == 0);
}

TEST_CASE("RN-6 a main task that gives a value in spite of SIGINT gives it; one that fails throws its error") {
    const child_end end = in_child([] {
        auto t = interrupt_after(10ms);
        const int v = eddy::run([]() -> task<int> {
            try {
                co_await sleep(1h);
            } catch (const cancelled&) {
            }
            co_return 5;
        }());
        t.join();
        auto u = interrupt_after(10ms);
        bool failed = false;
        try {
            eddy::run([]() -> task<> {
                try {
                    co_await sleep(1h);
                } catch (const cancelled&) {
                    throw std::runtime_error("cleanup");
                }
            }());
        } catch (const std::runtime_error& e) {
            failed = std::string(e.what()) == "cleanup";
        }
        u.join();
        return v == 5 && failed ? 0 : 1;
    });
    CHECK(end.code == 0);
}

TEST_CASE("RN-6 run_main ends by SIGINT's default action, as the shell expects") {
    const child_end end = in_child([] {
        auto t = interrupt_after(10ms);
        const int status = run_main([]() -> task<> { co_await sleep(1h); }());
        t.join();
        return status;
    });
    CHECK(!end.exited);
    CHECK(end.code == SIGINT);
    CHECK(end.text == "");
}

TEST_CASE("RN-6 the second SIGINT ends the process at once, while the loop is busy or stubborn") {
    const child_end stubborn = in_child([] {
        auto t = interrupt_after(10ms, 2);
        eddy::run([]() -> task<> { co_await shield(sleep(1h)); }());
        t.join();
        return 0;
    });
    CHECK(!stubborn.exited);
    CHECK(stubborn.code == SIGINT);
    const child_end busy = in_child([] {
        auto t = interrupt_after(10ms, 2);
        eddy::run([]() -> task<> {
            for (;;)
                std::this_thread::sleep_for(1ms);
            co_return;
        }());
        t.join();
        return 0;
    });
    CHECK(!busy.exited);
    CHECK(busy.code == SIGINT);
}

TEST_CASE("RN-6 not on other threads, not when told not to, and a handler set meanwhile is left alone") {
    const child_end off = in_child([] {
        std::signal(SIGINT, SIG_IGN);
        bool untouched = false;
        eddy::run(
            [](bool* u) -> task<> {
                struct sigaction now{};
                sigaction(SIGINT, nullptr, &now);
                *u = now.sa_handler == SIG_IGN;
                co_return;
            }(&untouched),
            run_options().handle_sigint(false));
        std::signal(SIGINT, SIG_DFL);
        bool elsewhere = false;
        std::thread([&] {
            eddy::run([](bool* e) -> task<> {
                *e = default_action();
                co_return;
            }(&elsewhere));
        }).join();
        eddy::run([]() -> task<> {
            std::signal(SIGINT, SIG_IGN); // somebody else's, set while we run
            co_return;
        }());
        struct sigaction now{};
        sigaction(SIGINT, nullptr, &now);
        const bool kept = now.sa_handler == SIG_IGN;
        return untouched && elsewhere && kept ? 0 : 1;
    });
    CHECK(off.exited);
    CHECK(off.code == 0);
}

TEST_CASE("RN-6 a second run in one process is interrupted like the first") {
    const child_end end = in_child([] {
        for (int i = 0; i < 3; ++i) {
            auto t = interrupt_after(5ms);
            bool thrown = false;
            try {
                eddy::run([]() -> task<> { co_await sleep(1h); }());
            } catch (const interrupted&) {
                thrown = true;
            }
            t.join();
            if (!thrown) return 1;
        }
        return 0;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
}
