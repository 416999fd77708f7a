// expect: deleted|implicitly-deleted
#include <eddy/core/task.hpp>

eddy::task<int> give() { co_return 1; }

eddy::task<> twice() {
    auto t = give();
#ifdef WRONG
    auto again = t;
#else
    auto again = std::move(t);
#endif
    const int n = co_await std::move(again);
    static_cast<void>(n);
}
