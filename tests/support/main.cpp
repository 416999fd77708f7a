#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

// libuv is not instrumented and closes descriptors by system calls of its own: a number that one thread's loop gave
// back and another's got anew looks like a race to the thread sanitizer.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:eddy::driver::uv_driver::make\n"; }
