// Cancelling a task that cleans up, also where cleaning up has to wait.
#include <eddy/eddy.hpp>

#include <cstdio>

using namespace std::chrono_literals;

eddy::task<void> say_goodbye() {
    co_await eddy::sleep(1ms); // shielded by finally(): not interrupted
    std::puts("connection closed");
}

eddy::task<void> serve() {
    auto session = eddy::finally(
        []() -> eddy::task<void> {
            try {
                std::puts("serving");
                co_await eddy::sleep(24h);
            } catch (const eddy::cancelled& c) {
                std::printf("asked to stop: %s\n", c.reason().text().c_str());
                throw; // a task that swallowed it would be stopped again at its next checkpoint
            }
        },
        say_goodbye);
    co_await session;
}

eddy::task<void> main_task() {
    auto server = eddy::spawn(serve());
    co_await eddy::sleep(1ms);
    server.cancel(eddy::cancel_reason(eddy::cancel_kind::requested, "closing time"));
    auto end = co_await eddy::settle(server); // returns when the clean-up is through
    std::printf("the task was cancelled: %s\n", end.is_cancelled() ? "yes" : "no");
}

int main() { return eddy::run_main(main_task()); }
