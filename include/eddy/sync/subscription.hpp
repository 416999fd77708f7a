// What the receivers of broadcast and watch have in common: each has its own place, at which one operation may wait.
#pragma once

#include <eddy/sync/waiting.hpp>

#include <memory>
#include <utility>

namespace eddy::detail {

[[noreturn]] void throw_second_wait(const char* what);
[[noreturn]] void throw_receiver_gone(const char* what);
[[noreturn]] void throw_moved_from(const char* what);

// Shared by a receiver and its operations, which may outlive it.
class subscription {
public:
    [[nodiscard]] bool gone() const noexcept { return gone_; }
    // `w` is to wait for the receiver, or has got something from it. std::logic_error while another does.
    void claim(engine::waiter& w, const char* what) {
        // A wait that was cancelled has ended, though its operation is still there.
        if (waiting_ != nullptr && waiting_->result != engine::status::cancelled) throw_second_wait(what);
        waiting_ = &w;
    }
    void leave(const engine::waiter& w) noexcept {
        if (waiting_ == &w) waiting_ = nullptr;
    }
    // The receiver goes; who waits for it gets object_destroyed. `what`: "a receiver of a broadcast".
    void end(const char* what) noexcept;

private:
    engine::waiter* waiting_ = nullptr;
    bool gone_ = false;
};

// An operation of a receiver. Reader derives from subscription, and has `waiting_line& line()`.
template <class Derived, class Reader>
class subscription_operation : public sync_operation<Derived> {
    using base = sync_operation<Derived>;

public:
    void enqueue() noexcept { reader_->line().add(*this); }
    [[nodiscard]] engine::status state() const noexcept {
        return reader_->gone() && base::state() == engine::status::ok ? engine::status::object_destroyed
                                                                      : base::state();
    }
    // Inline: each frame between a throw and its catch costs a few hundred nanoseconds.
    [[noreturn, gnu::always_inline]] inline void fail() {
        if (this->result != engine::status::cancelled) throw_receiver_gone(Derived::kind.name);
        base::fail();
    }

protected:
    explicit subscription_operation(std::shared_ptr<Reader> r) noexcept : reader_(std::move(r)) {}
    subscription_operation(subscription_operation&&) = default;
    ~subscription_operation() {
        this->end();
        if (reader_ != nullptr) reader_->leave(*this); // null: moved from
    }
    // False: it has to wait.
    bool begin(bool ready) {
        if (reader_->gone()) {
            this->result = engine::status::object_destroyed;
            return true;
        }
        reader_->line().check_loop(*this->where, Derived::kind.name);
        reader_->claim(*this, Derived::kind.name);
        return ready;
    }
    std::shared_ptr<Reader> reader_;
};

} // namespace eddy::detail
