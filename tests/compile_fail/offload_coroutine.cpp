// expect: offload\(\) runs plain functions; a coroutine belongs on the loop
#include <eddy/offload/offload.hpp>

eddy::task<> work() { co_return; }
void plain() {}

eddy::task<> f() {
#ifdef WRONG
    co_await eddy::offload(work);
#else
    co_await eddy::offload(plain);
#endif
}
