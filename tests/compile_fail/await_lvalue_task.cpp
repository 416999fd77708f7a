// expect: std::move a named task
#include <eddy/core/task.hpp>

eddy::task<int> give() { co_return 1; }

eddy::task<> twice() {
    auto t = give();
#ifdef WRONG
    const int n = co_await t;
#else
    const int n = co_await std::move(t);
#endif
    static_cast<void>(n);
}
