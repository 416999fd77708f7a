// What other threads ask of a loop.
//
// A post links a node that the caller owns, so posting cannot fail for want of memory; the doorbell rings only when the
// box was empty. Each object has one node and guards it with its own request bits. The box outlives its loop: after
// close() every post is refused.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>

namespace eddy::engine {

struct mail {
    mail* next = nullptr;
    void (*deliver)(mail&) noexcept = nullptr; // on the loop's thread; may destroy the node
    void (*discard)(mail&) noexcept = nullptr; // the loop closed before delivering; any thread
};

class mailbox {
public:
    struct bell {
        void* user = nullptr;
        void (*ring)(void* user) noexcept = nullptr; // any thread
    };

    // Any thread. False once closed: the node was not taken.
    bool post(mail& m) noexcept;
    // Owner. Posts are accepted from here on.
    void open(bell b) noexcept;
    // Owner. Refuses posts from now on; what was accepted is still delivered.
    void refuse() noexcept;
    // Owner. The same, and discards what was not delivered.
    void close() noexcept;
    // Owner. Delivers everything posted so far, in the order of posting.
    void deliver() noexcept;

    [[nodiscard]] bool has_mail() const noexcept { return has_mail_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool closed() noexcept;
    // Any thread: wakes the loop without a message.
    void ring() noexcept;

    // Any thread: somebody means to post later; the loop must not end, nor be called deadlocked.
    void hold() noexcept { holds_.fetch_add(1, std::memory_order_relaxed); }
    void let_go() noexcept {
        if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) ring();
    }
    [[nodiscard]] std::size_t holds() const noexcept { return holds_.load(std::memory_order_acquire); }

private:
    std::mutex guard_; // innermost: nothing else is locked while it is held
    mail* first_ = nullptr;
    mail** last_ = &first_;
    bool closed_ = true;
    bell bell_;
    std::atomic<bool> has_mail_{false};
    std::atomic<std::size_t> holds_{0};
};

} // namespace eddy::engine
