// expect: no matching function for call to .*spawn
#include <eddy/core/loop.hpp>

eddy::task<> count(int& n) {
    ++n;
    co_return;
}

void f(int& n) {
#ifdef WRONG
    eddy::spawn(count, n); // a copy is what the task would get: it takes an lvalue, and means another object
#else
    eddy::spawn(count, std::ref(n));
#endif
}
