// expect: with\(\) needs a resource that has close\(\) -> task<void>
#include <eddy/flow/with.hpp>

struct file {
#ifdef WRONG
    void close() {}
#else
    eddy::task<> close() { co_return; }
#endif
};

eddy::task<> use(file&) { co_return; }

eddy::task<> f() { co_await eddy::with(file(), use); }
