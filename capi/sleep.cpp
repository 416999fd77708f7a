#include "leaf.hpp"

#include <eddy/core/sleep.hpp>

using eddy::capi::leaf_op;
using eddy::capi::take_nothing;

namespace {

struct wait_for_time : take_nothing {
    static constexpr std::uint32_t kind = EDDY_KIND_TIMER;
};

using sleep_op = leaf_op<eddy::detail::sleep_operation, wait_for_time>;
using endless_op = leaf_op<eddy::detail::sleep_forever_operation, wait_for_time>;

// `when`: a duration or a time_point.
template <class When>
eddy_op* sleep_for(eddy_loop* l, std::uint64_t nanoseconds) noexcept {
    if (l == nullptr) return nullptr;
    if (const int over = l->over(); over != EDDY_OK) return eddy::capi::failed_op(*l, over);
    l->sync();
    if (nanoseconds >= INT64_MAX) return endless_op::start(*l, {});
    return sleep_op::start(*l, {}, When(eddy::duration(static_cast<std::int64_t>(nanoseconds))));
}

} // namespace

eddy_op* eddy_sleep(eddy_loop* loop, std::uint64_t duration) noexcept {
    return sleep_for<eddy::duration>(loop, duration);
}

eddy_op* eddy_sleep_until(eddy_loop* loop, std::uint64_t when) noexcept {
    return sleep_for<eddy::clock::time_point>(loop, when);
}
