// The offloaded calls of one loop, and the drainers that work them off on libuv's pool.
//
// libuv's pool is a FIFO that files and DNS share. A *drainer* is one request in it, which claims calls from our ring,
// one at a time so that a slow one holds up no other, until the ring is empty or a millisecond or 64 calls have gone;
// then it gives its thread back, and the loop puts it at the end of libuv's queue again.
//
// A call is in one place at a time: in `fresh_` (the loop's), in a slot of the ring (whoever takes the pointer out of
// it has the call: a drainer to run it, or the loop to cancel it), with a drainer, in that drainer's `done`, and
// delivered. What is done is brought back in batches. The loop looks when a drainer returns and at `watch_until_`; a
// drainer that has results later than that, or one that took long, announces them by one mail node, however many they
// are.
//
// A function that blocks on a task of some loop (remote_task::get) may wait for calls that stand behind it in a ring.
// When every thread of libuv's pool does that, the rings are emptied by threads of our own.
#pragma once

#include <eddy/offload/offload.hpp>

#include "offload/returns.hpp"
#include "offload/worker_pool.hpp"

#include <array>
#include <mutex>
#include <vector>

namespace eddy::detail {

class offload_lane final : public loop_part, public returns, private engine::timer {
public:
    // ---- the loop's thread
    // Both throw std::bad_alloc.
    explicit offload_lane(loop_state& l);
    void add_drainer() { drainers_.push_back(std::make_unique<drainer>()); }
    ~offload_lane() override; // any thread
    void push(offload_job& job) noexcept;
    // False when the function runs already.
    bool take_back(offload_job& job) noexcept;
    // Returns when no other thread looks at the job any more.
    void withdraw(offload_job& job) noexcept;
    void after_drain() noexcept override {
        if (!fresh_.empty()) publish();
    }
    void close(bool own_loop) noexcept override;

    // ---- any thread
    // One more thread, where all that could empty the ring wait for a loop.
    void help() noexcept;
    void helper_blocks(bool begin) noexcept;

private:
    struct alignas(64) drainer {
        uv_work_t request;
        std::shared_ptr<offload_lane> lane; // while libuv has the request
        done_stack done;
    };
    struct helper final : thread_job {
        std::shared_ptr<offload_lane> lane;
    };
    static const thread_job_kind helping;
    static constexpr std::uint32_t ring_size = 1024;

    // The loop's thread.
    void publish() noexcept;
    void submit(drainer& d) noexcept;
    drainer* spare_drainer() noexcept;
    void collect_all() noexcept;
    void bring_home() noexcept override {
        collect_all();
        deliver();
    }
    std::shared_ptr<offload_lane> keep() noexcept {
        return std::static_pointer_cast<offload_lane>(returns::shared_from_this());
    }
    void deliver() noexcept;
    // The pool's threads.
    void work(drainer& d) noexcept;
    void work_as_helper() noexcept;
    offload_job* claim() noexcept;
    [[nodiscard]] bool has_queued() const noexcept { return head_.load() != tail_.load(); }

    loop_state* loop_; // null once closed
    uv_loop_t* const uv_;
    std::vector<std::unique_ptr<drainer>> drainers_;
    job_list fresh_;
    job_list delivering_;
    std::size_t fresh_count_ = 0;
    std::size_t outstanding_ = 0; // published, not delivered
    unsigned in_flight_ = 0;      // drainers that libuv has

    alignas(64) std::atomic<std::uint32_t> head_{0};
    alignas(64) std::atomic<std::uint32_t> tail_{0};
    std::array<std::atomic<offload_job*>, ring_size> ring_{};
    std::atomic<std::int64_t> watch_until_{0}; // the loop will look then, by itself
    std::atomic<bool> quick_{false};           // drainers reach 64 calls before a millisecond has gone

    std::mutex helpers_guard_;
    unsigned helpers_ = 0;
    unsigned helpers_blocked_ = 0;
    done_stack helpers_done_;
};

// All lanes of a process, for functions that block. Recursive: letting go of a lane may destroy it.
struct lane_registry {
    std::recursive_mutex guard;
    std::vector<offload_lane*> lanes;
    std::atomic<unsigned> blocked{0}; // threads of libuv's pool that run one of our calls which waits for a loop
};
lane_registry& lanes_of_process();

} // namespace eddy::detail
