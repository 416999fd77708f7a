// What the tests of bulk work share.
#pragma once

#include <eddy/core/loop.hpp>

#include <exception>
#include <string>

namespace eddy_test {

inline eddy::duration since_start() { return eddy::clock::now().time_since_epoch(); }

// what() of what it throws.
template <class F>
std::string message_of(F f) {
    try {
        f();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "nothing was thrown";
}

} // namespace eddy_test
