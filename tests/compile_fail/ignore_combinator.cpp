// expect: nodiscard|warn_unused_result
#include <eddy/core/sleep.hpp>
#include <eddy/flow/timeout.hpp>

eddy::task<> f() {
    using namespace std::chrono_literals;
#ifdef WRONG
    eddy::timeout(1s, eddy::sleep(1s));
#else
    co_await eddy::timeout(1s, eddy::sleep(1s));
#endif
    co_await eddy::yield();
}
