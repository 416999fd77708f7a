// The waits for a channel. Included by channel.hpp.
#pragma once

#include <eddy/sync/channel.hpp>

namespace eddy {

namespace detail {

// What send and receive have in common. Holds on to the state, which may outlive the channel.
template <class Derived, class T, class Party>
class channel_operation : public sync_operation<Derived, Party> {
    using base = sync_operation<Derived, Party>;

public:
    // Inline: each frame between a throw and its catch costs a few hundred nanoseconds.
    [[noreturn, gnu::always_inline]] inline void fail() {
        if (this->result == engine::status::closed || this->target == nullptr)
            if (this->result != engine::status::cancelled) throw_channel_ended(this->result, Derived::kind.name);
        base::fail();
    }
    void enqueue() noexcept { state_->about_to_park(*this); } // in line since attempt()

protected:
    explicit channel_operation(const cell_ref<channel_state<T>>& c) noexcept : state_(c) {}
    channel_operation(channel_operation&& o) : base(std::move(o)), state_(o.state_) {}
    ~channel_operation() = default;
    void leave() noexcept {
        if (this->shared) state_->withdraw(*this);
        this->end();
    }
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        auto& self = static_cast<channel_operation&>(w);
        return self.state_->abort(self);
    }

    cell_ref<channel_state<T>> state_;
};

template <class T>
class channel_send_operation final : public channel_operation<channel_send_operation<T>, T, channel_sender<T>> {
    using base = channel_operation<channel_send_operation, T, channel_sender<T>>;

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "channel.send",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &base::abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    channel_send_operation(const cell_ref<channel_state<T>>& c, T&& v) : base(c), item_(std::move(v)) {}
    channel_send_operation(channel_send_operation&&) = default;
    ~channel_send_operation() { this->leave(); }
    bool attempt() {
        channel_sender<T>::item = &item_;
        if (!this->state_->send(*this)) return false;
        this->result = this->outcome;
        return true;
    }
    void take() noexcept {}
    // What was to be sent, when it was not.
    [[nodiscard]] T& item() noexcept { return item_.value(); }

private:
    queue_item<T> item_;
};

template <class T>
class channel_receive_operation final : public channel_operation<channel_receive_operation<T>, T, channel_receiver<T>> {
    using base = channel_operation<channel_receive_operation, T, channel_receiver<T>>;

public:
    using result_type = std::optional<T>;
    static constexpr engine::wait_kind kind{.name = "channel.receive",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &base::abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    explicit channel_receive_operation(const cell_ref<channel_state<T>>& c) noexcept : base(c) {}
    channel_receive_operation(channel_receive_operation&&) = default;
    ~channel_receive_operation() {
        this->leave();
        if (this->item.has_value()) this->state_->give_back(*this); // nobody took it
    }
    bool attempt() {
        if (!this->state_->receive(*this)) return false;
        this->result = this->outcome;
        return true;
    }
    // Closed and drained is an answer.
    [[nodiscard]] engine::status state() const noexcept {
        const engine::status s = base::state();
        return s == engine::status::closed ? engine::status::ok : s;
    }
    [[nodiscard]] std::optional<T> take() {
        std::optional<T> v;
        if (!this->item.has_value()) return v;
        v.emplace(std::move(this->item->value())); // if that throws, the item goes back
        this->item.reset();
        this->state_->taken();
        return v;
    }
};

} // namespace detail

template <class T>
void channel<T>::send_blocking(T v) {
    detail::check_may_block("channel.send_blocking");
    const auto state = state_; // the channel may be destroyed meanwhile
    detail::queue_item<T> item(std::move(v));
    detail::channel_sender<T> s;
    s.item = &item;
    state->send_blocking(s);
    if (s.outcome != engine::status::ok) detail::throw_channel_ended(s.outcome, "channel.send_blocking");
}

template <class T>
std::optional<T> channel<T>::receive_blocking() {
    detail::check_may_block("channel.receive_blocking");
    struct waiting : detail::channel_receiver<T> {
        explicit waiting(const detail::cell_ref<detail::channel_state<T>>& c) noexcept : of(c) {}
        waiting(const waiting&) = delete;
        ~waiting() {
            if (this->item.has_value()) of->give_back(*this); // moving it has thrown
        }
        detail::cell_ref<detail::channel_state<T>> of; // the channel may be destroyed meanwhile
    } r(state_);
    r.of->receive_blocking(r);
    std::optional<T> v;
    if (r.item.has_value()) {
        v.emplace(std::move(r.item->value()));
        r.item.reset();
        r.of->taken();
    } else if (r.outcome != engine::status::closed) {
        detail::throw_channel_ended(r.outcome, "channel.receive_blocking");
    }
    return v;
}

} // namespace eddy
