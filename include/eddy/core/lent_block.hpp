// Memory that libuv points at: requests in flight and open handles of eddy's own.
#pragma once

namespace eddy {
class loop;
}

namespace eddy::detail {

struct loop_state;

// Such a block lives on the heap, outlives the frame that made it, and is freed by the last callback of libuv that
// knows it. The loop knows all of them: one that is destroyed asks each to come to its end, and turns until they have.
// On an adopted uv_loop_t they live on without the loop, and the host's turns bring them to their end.
class lent_block {
public:
    lent_block() noexcept = default;
    lent_block(const lent_block&) = delete;
    lent_block& operator=(const lent_block&) = delete;

    // From now on the loop waits for this block.
    void lend(loop& l) noexcept;
    // libuv has let go of it. Idempotent.
    void give_back() noexcept;

protected:
    ~lent_block() { give_back(); }
    // The loop is being destroyed and has no tasks left: close what is open, wake nobody. Frees nothing by itself.
    virtual void let_go() noexcept = 0;

private:
    friend void close_lent(loop_state& l) noexcept;
    lent_block* next_ = nullptr;
    lent_block** link_ = nullptr; // what points at this one; null: not lent
};

} // namespace eddy::detail
