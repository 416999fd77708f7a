// expect: a task does nothing until it is awaited or spawned
#include <eddy/core/task.hpp>

eddy::task<> work() { co_return; }

eddy::task<> main_task() {
#ifdef WRONG
    work();
#else
    co_await work();
#endif
    co_return;
}
