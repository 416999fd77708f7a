// What the tests of channels share.
#pragma once

#include <eddy/sync/channel.hpp>

#include "sync/support.hpp"

#include <limits>
#include <map>

namespace eddy_test {

using numbers = std::vector<int>;

inline eddy::task<> send_one(eddy::channel<int>& c, int v) { co_await c.send(v); }
inline eddy::task<> receive_one(eddy::channel<int>& c, numbers& seen) {
    if (auto v = co_await c.receive(); v.has_value()) seen.push_back(*v);
}

// What try_receive() finds, to the end.
template <class T>
std::vector<T> drain(eddy::channel<T>& c) {
    std::vector<T> seen;
    while (auto v = c.try_receive())
        seen.push_back(std::move(*v));
    return seen;
}

// The items of sender n are n * `each` + 0, 1, 2 …
inline bool in_order_by_sender(const numbers& items, int each = 1000) {
    std::map<int, int> last;
    for (const int v : items) {
        const auto [at, first] = last.try_emplace(v / each, v);
        if (!first && at->second >= v) return false;
        at->second = v;
    }
    return true;
}

} // namespace eddy_test
