#include <eddy/engine/mailbox.hpp>

namespace eddy::engine {

bool mailbox::post(mail& m) noexcept {
    const std::lock_guard lock(guard_);
    if (closed_) return false;
    m.next = nullptr;
    const bool was_empty = first_ == nullptr;
    *last_ = &m;
    last_ = &m.next;
    if (was_empty) {
        has_mail_.store(true, std::memory_order_relaxed);
        // Under the lock: close() must not destroy the bell while it rings.
        bell_.ring(bell_.user);
    }
    return true;
}

void mailbox::open(bell b) noexcept {
    const std::lock_guard lock(guard_);
    bell_ = b;
    closed_ = false;
}

void mailbox::refuse() noexcept {
    const std::lock_guard lock(guard_);
    closed_ = true;
}

void mailbox::close() noexcept {
    mail* rest;
    {
        const std::lock_guard lock(guard_);
        closed_ = true;
        bell_ = {};
        rest = first_;
        first_ = nullptr;
        last_ = &first_;
        has_mail_.store(false, std::memory_order_relaxed);
    }
    while (rest != nullptr) {
        mail* next = rest->next;
        if (rest->discard != nullptr) rest->discard(*rest);
        rest = next;
    }
}

void mailbox::deliver() noexcept {
    mail* all;
    {
        const std::lock_guard lock(guard_);
        all = first_;
        first_ = nullptr;
        last_ = &first_;
        has_mail_.store(false, std::memory_order_relaxed);
    }
    while (all != nullptr) {
        mail* next = all->next;
        all->deliver(*all);
        all = next;
    }
}

bool mailbox::closed() noexcept {
    const std::lock_guard lock(guard_);
    return closed_;
}

void mailbox::ring() noexcept {
    const std::lock_guard lock(guard_);
    if (!closed_) bell_.ring(bell_.user);
}

} // namespace eddy::engine
