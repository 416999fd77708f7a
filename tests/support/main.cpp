#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

// What a test program does before doctest sees its arguments: that of process_pool is its own worker.
extern "C" void eddy_test_first(int argc, char** argv) __attribute__((weak));

int main(int argc, char** argv) {
    if (eddy_test_first != nullptr) eddy_test_first(argc, argv);
    return doctest::Context(argc, argv).run();
}

// libuv is not instrumented and closes descriptors by system calls of its own: a number that one thread's loop gave
// back and another's got anew looks like a race to the thread sanitizer.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:eddy::driver::uv_driver::make\n"; }
