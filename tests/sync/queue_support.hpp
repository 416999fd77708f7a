// What the tests of queues share.
#pragma once

#include <eddy/sync/queue.hpp>

#include "sync/support.hpp"

namespace eddy_test {

using numbers = std::vector<int>;

inline eddy::task<> get_one(eddy::queue<int>& q, numbers& seen) { seen.push_back(co_await q.get()); }
inline eddy::task<> put_one(eddy::queue<int>& q, int v) { co_await q.put(v); }

// What try_get() finds, to the end.
template <class Q>
numbers drain(Q& q) {
    numbers seen;
    while (auto v = q.try_get())
        seen.push_back(*v);
    return seen;
}

} // namespace eddy_test
