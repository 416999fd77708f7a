// expect: nodiscard|warn_unused_result
#include <eddy/core/sleep.hpp>
#include <eddy/sync/mutex.hpp>

eddy::task<> f(eddy::mutex& m) {
#ifdef WRONG
    m.lock();
#else
    const auto guard = co_await m.lock();
#endif
    co_await eddy::yield();
}
