// expect: over-aligned values are not supported: box them
#include <eddy/core/task_local.hpp>

#include <memory>

struct alignas(64) line {
    char bytes[64];
};

#ifdef WRONG
eddy::task_local<line> key;
#else
eddy::task_local<std::shared_ptr<line>> key;
#endif
