// expect: the lock is released when the guard goes
#include <eddy/sync/mutex.hpp>

eddy::mutex::guard pass(eddy::mutex::guard g) { return g; }

void f(eddy::mutex& m) {
    auto lock = m.try_lock();
#ifdef WRONG
    pass(std::move(*lock));
#else
    const auto guard = pass(std::move(*lock));
#endif
}
