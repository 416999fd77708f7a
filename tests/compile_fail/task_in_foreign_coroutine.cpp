// expect: an eddy::task can only be awaited inside an eddy::task
#include <eddy/core/task.hpp>

struct other {
    struct promise_type {
        other get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

eddy::task<> work() { co_return; }

other f() {
#ifdef WRONG
    co_await work();
#else
    co_await std::suspend_never();
#endif
}
