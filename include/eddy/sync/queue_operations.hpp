// The operations of a queue, and the members that they stand on. Included by queue.hpp.
#pragma once

#include <eddy/sync/queue.hpp>

#include <exception>

namespace eddy {

// ---- handing over

template <class T, class Order>
bool queue<T, Order>::receive_now(receiver& r) {
    if (store_.size() != 0) [[likely]] {
        const bool next = !putters_.empty();
        if (next) {
            putters_.check_loop(*r.where, r.kind->name);
            make_room();
        }
        auto& front = store_.front();
        r.receive(*this, front.number, std::move(front.item));
        store_.pop();
        if (next && !full()) take_from_putter();
        return true;
    }
    if (closed_) {
        r.result = engine::status::closed;
        return true;
    }
    check_wait(*r.where, r.kind->name);
    return false;
}

template <class T, class Order>
bool queue<T, Order>::send_now(sender& s) {
    if (closed_) [[unlikely]] {
        s.result = engine::status::closed;
        return true;
    }
    if (!getters_.empty()) {
        getters_.check_loop(*s.where, s.kind.name);
        make_room();
        give_to_getter(next_number_++, std::move(s.item_));
    } else if (!full()) {
        make_room();
        store_.push(next_number_++, std::move(s.item_));
    } else {
        check_wait(*s.where, s.kind.name);
        return false;
    }
    ++unfinished_;
    return true;
}

template <class T, class Order>
template <class V>
bool queue<T, Order>::put_item(V&& v) {
    if (closed_) return false;
    getters_.check_loop("queue.try_put");
    make_room();
    item_type item(std::forward<V>(v));
    ++unfinished_;
    if (getters_.empty())
        store_.push(next_number_++, std::move(item));
    else
        give_to_getter(next_number_++, std::move(item));
    return true;
}

template <class T, class Order>
std::optional<T> queue<T, Order>::try_get() {
    std::optional<T> result;
    if (store_.size() == 0) return result;
    const bool next = !putters_.empty();
    if (next) {
        putters_.check_loop("queue.try_get");
        make_room();
    }
    result.emplace(std::move(store_.front().item.value()));
    store_.pop();
    if (next && !full()) take_from_putter();
    return result;
}

template <class T, class Order>
void queue<T, Order>::give_to_getter(std::uint64_t number, item_type&& item) noexcept {
    auto& r = static_cast<receiver&>(*getters_.pop());
    r.receive(*this, number, std::move(item));
    r.where->loop->grant(r, engine::status::ok);
}

template <class T, class Order>
void queue<T, Order>::take_from_putter() noexcept {
    auto& s = static_cast<sender&>(*putters_.pop());
    ++unfinished_;
    store_.push(next_number_++, std::move(s.item_));
    s.where->loop->grant(s, engine::status::ok);
}

template <class T, class Order>
void queue<T, Order>::give_back(receiver& r) noexcept {
    r.settle();
    if (getters_.empty())
        store_.put_back(r.number, std::move(*r.item));
    else
        give_to_getter(r.number, std::move(*r.item));
}

// ---- ends

template <class T, class Order>
void queue<T, Order>::close() {
    if (closed_) return;
    getters_.check_loop("queue.close");
    putters_.check_loop("queue.close");
    closed_ = true;
    getters_.finish_all(engine::status::closed); // who wait here found it empty
    putters_.finish_all(engine::status::closed);
}

template <class T, class Order>
std::vector<T> queue<T, Order>::shutdown() {
    std::vector<T> left;
    left.reserve(store_.size());
    joiners_.check_loop("queue.shutdown");
    close();
    while (store_.size() != 0) {
        left.push_back(std::move(store_.front().item.value()));
        store_.pop();
    }
    if (!left.empty()) finished(left.size());
    return left;
}

template <class T, class Order>
queue_statistics queue<T, Order>::statistics() const noexcept {
    queue_statistics s;
    s.size = size();
    s.capacity = capacity_;
    s.unfinished = unfinished_;
    s.getters = getters_.size();
    s.putters = putters_.size();
    s.joiners = joiners_.size();
    s.closed = closed_;
    return s;
}

// ---- operations

namespace detail {

// get, next and take: they differ in what they give.
template <class Q, int What>
class queue_get_operation final : public sync_operation<queue_get_operation<Q, What>, typename Q::receiver> {
    using base = sync_operation<queue_get_operation, typename Q::receiver>;
    using T = typename Q::value_type;

public:
    using result_type = std::conditional_t<What == Q::get_item, T,
                                           std::conditional_t<What == Q::next_item, std::optional<T>, typename Q::job>>;
    static constexpr engine::wait_kind kind{.name = What == Q::get_item    ? "queue.get"
                                                    : What == Q::next_item ? "queue.next"
                                                                           : "queue.take",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    explicit queue_get_operation(Q& q) noexcept : queue_(&q) {}
    queue_get_operation(queue_get_operation&& other) : base(std::move(other)), queue_(other.queue_) {}
    ~queue_get_operation() {
        this->end();
        if (this->has_item()) queue_->give_back(*this); // nobody took it
    }
    bool attempt() { return queue_->receive_now(*this); }
    void enqueue() noexcept { queue_->getters_.add(*this); }

    [[nodiscard]] engine::status state() const noexcept {
        const engine::status s = base::state();
        return What == Q::next_item && s == engine::status::closed ? engine::status::ok : s;
    }
    [[nodiscard]] result_type take() {
        if constexpr (What == Q::next_item) {
            std::optional<T> taken;
            if (base::state() == engine::status::closed) return taken;
            taken.emplace(std::move(this->item->value()));
            this->settle();
            return taken;
        } else if constexpr (What == Q::get_item) {
            const settler s(*this);
            return T(std::move(this->item->value()));
        } else {
            Q* const q = this->owner();
            this->settle();
            return result_type(q, std::move(*this->item));
        }
    }

private:
    // The item is taken when the move has succeeded: if that throws, the item goes back.
    struct settler {
        explicit settler(queue_get_operation& op) noexcept : op_(op) {}
        settler(const settler&) = delete;
        ~settler() {
            if (std::is_nothrow_move_constructible_v<T> || std::uncaught_exceptions() == before_) op_.settle();
        }
        queue_get_operation& op_;
        int before_ = std::is_nothrow_move_constructible_v<T> ? 0 : std::uncaught_exceptions();
    };
    Q* queue_;
};

template <class Q>
class queue_put_operation final : public sync_operation<queue_put_operation<Q>> {
    using base = sync_operation<queue_put_operation>;
    using T = typename Q::value_type;

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "queue.put",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    queue_put_operation(Q& q, T&& v) : queue_(&q), item_(std::move(v)) {}
    queue_put_operation(queue_put_operation&&) = default;
    ~queue_put_operation() { this->end(); }
    bool attempt() { return queue_->send_now(*this); }
    void enqueue() noexcept { queue_->putters_.add(*this); }
    void take() noexcept {}
    // What was to be put, when it was not.
    [[nodiscard]] T& item() noexcept { return item_.value(); }

private:
    friend Q;
    Q* queue_;
    queue_item<T> item_;
};

template <class Q>
class queue_join_operation final : public sync_operation<queue_join_operation<Q>> {
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        if (!is_waiting(w)) return describe_as(out, room, "%s", w.kind->name);
        return describe_as(out, room, "queue.join, %zu unfinished",
                           static_cast<const queue_join_operation&>(w).queue_->unfinished_);
    }

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "queue.join",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    explicit queue_join_operation(Q& q) noexcept : queue_(&q) {}
    queue_join_operation(queue_join_operation&&) = default;
    ~queue_join_operation() { this->end(); }
    bool attempt() {
        if (queue_->unfinished_ == 0) return true;
        queue_->check_wait(*this->where, kind.name);
        return false;
    }
    void enqueue() noexcept { queue_->joiners_.add(*this); }
    void take() noexcept {}

private:
    Q* queue_;
};

} // namespace detail
} // namespace eddy
