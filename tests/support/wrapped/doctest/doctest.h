// The system's doctest is found as <doctest/doctest.h>, which the tests use; the wrap's, depending on its version, as
// <doctest.h>.
#pragma once
#if __has_include(<doctest.h>)
#include <doctest.h>
#else
#include_next <doctest/doctest.h>
#endif
