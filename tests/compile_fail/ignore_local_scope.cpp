// expect: the value is put back when this goes
#include <eddy/core/task_local.hpp>

eddy::task_local<int> key;

void f() {
#ifdef WRONG
    key.scoped(1);
#else
    const auto scope = key.scoped(1);
#endif
}
