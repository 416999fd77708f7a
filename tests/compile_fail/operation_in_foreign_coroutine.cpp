// expect: an eddy operation can only be awaited inside an eddy::task
#include <eddy/core/sleep.hpp>

struct other {
    struct promise_type {
        other get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

other f() {
#ifdef WRONG
    co_await eddy::yield();
#else
    co_await std::suspend_never();
#endif
}
