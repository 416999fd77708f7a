// Promises: ops that the program finishes, on any thread.
#include "promise.hpp"

using eddy::capi::call_free;
using eddy::capi::free_value;

namespace eddy::capi {
namespace {

int settle(eddy_op* op, int status, const char* message, void* value, eddy_free_fn value_free,
           std::int64_t number) noexcept {
    int answer = EDDY_OK;
    if (op != nullptr && !op->is_promise())
        answer = op->loop->misused(EDDY_EINVAL, "an op that is no promise was resolved or rejected");
    else if (op == nullptr || !static_cast<promise_op*>(op)->claim())
        answer = EDDY_ESTATE;
    if (answer != EDDY_OK) {
        free_value(value_free, value);
        return answer;
    }
    auto& p = *static_cast<promise_op*>(op);
    p.given.set(status, message);
    p.given.number = number;
    p.given.set_value(value, value_free);
    p.publish();
    return EDDY_OK;
}

} // namespace
} // namespace eddy::capi

eddy_op* eddy_promise(eddy_loop* loop, eddy_done_fn on_cancel, void* user, eddy_free_fn drop) noexcept {
    using eddy::capi::promise_op;
    // This thread's memory: it may not be the loop's.
    void* const block = loop == nullptr ? nullptr : eddy::engine::allocate(sizeof(promise_op));
    if (block == nullptr) {
        call_free(drop, user);
        return nullptr;
    }
    const auto where = loop->is_here() ? eddy_op::made::on_the_loop : eddy_op::made::anywhere;
    auto* const op = ::new (block) promise_op(*loop, where, on_cancel, user, drop);
    op->ask(eddy_op::request::begin);
    return op;
}

int eddy_promise_resolve(eddy_op* op, void* value, eddy_free_fn value_free, std::int64_t number) noexcept {
    return eddy::capi::settle(op, EDDY_OK, nullptr, value, value_free, number);
}

int eddy_promise_reject(eddy_op* op, int status, const char* message, void* value, eddy_free_fn value_free) noexcept {
    if (status < 0) return eddy::capi::settle(op, status, message, value, value_free, 0);
    free_value(value_free, value);
    return op == nullptr ? EDDY_EINVAL
                         : op->loop->misused(EDDY_EINVAL, "eddy_promise_reject with a status that is no error");
}
