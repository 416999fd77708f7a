// expect: eddy::task can only await eddy's operations, tasks .* wrap a foreign awaitable in an eddy::promise
#include <eddy/core/sleep.hpp>

struct foreign {
    bool await_ready() { return true; }
    void await_suspend(std::coroutine_handle<>) {}
    void await_resume() {}
};

eddy::task<> f() {
#ifdef WRONG
    co_await foreign();
#else
    co_await eddy::yield();
#endif
}
