// What the tests of bulk work share.
#pragma once

#include <eddy/core/loop.hpp>

#include "support/check.hpp"

namespace eddy_test {

inline eddy::duration since_start() { return eddy::clock::now().time_since_epoch(); }

} // namespace eddy_test
