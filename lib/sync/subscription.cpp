#include <eddy/sync/subscription.hpp>

#include <string>

namespace eddy::detail {

void subscription::end(const char* what) noexcept {
    gone_ = true;
    if (waiting_ == nullptr || waiting_->state != engine::wait_state::waiting) return;
    waiting_line only;
    waiting_->unlink();
    only.add(*waiting_);
    detach_waiters(what, {&only});
}

void throw_second_wait(const char* what) {
    throw std::logic_error(std::string("eddy: a second ") + what +
                           " on the same receiver while the first goes on; each task needs a receiver of its own");
}

void throw_receiver_gone(const char* what) {
    throw object_destroyed(std::string("eddy: ") + what + ": the receiver has been destroyed");
}

void throw_moved_from(const char* what) {
    throw std::logic_error(std::string("eddy: ") + what + " on a receiver that was moved from");
}

} // namespace eddy::detail
