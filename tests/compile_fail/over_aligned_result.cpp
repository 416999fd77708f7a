// expect: over-aligned results are misplaced by GCC and clang: box them
#include <eddy/core/task.hpp>

#include <memory>

struct alignas(64) line {
    char bytes[64];
};

#ifdef WRONG
eddy::task<line> f() { co_return line(); }
#else
eddy::task<std::unique_ptr<line>> f() { co_return std::make_unique<line>(); }
#endif
