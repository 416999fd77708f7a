// Which sanitizers this is compiled with: EDDY_TEST_ASAN, EDDY_TEST_TSAN, each 0 or 1.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define EDDY_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EDDY_TEST_ASAN 1
#endif
#endif
#ifndef EDDY_TEST_ASAN
#define EDDY_TEST_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define EDDY_TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EDDY_TEST_TSAN 1
#endif
#endif
#ifndef EDDY_TEST_TSAN
#define EDDY_TEST_TSAN 0
#endif
