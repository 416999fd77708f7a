// What a loop consists of. Private to lib/.
#pragma once

#include <eddy/core/lent_block.hpp>
#include <eddy/core/loop.hpp>

#include "core/debug.hpp"
#include "core/fork.hpp"
#include "driver/sim_driver.hpp"
#include "driver/uv_driver.hpp"

#include <ostream>
#include <stop_token>
#include <thread>
#include <unordered_map>

namespace eddy::detail {

// The part of a loop that other threads hold on to; outlives it.
struct loop_hub {
    engine::mailbox box;
    std::atomic<bool> stop_requested{false};
    const std::thread::id thread = std::this_thread::get_id(); // a loop runs where it was made
    const unsigned born_in = fork_generation();
};

// std::logic_error in a child process that was forked after the loop was made: its descriptors are shared with the
// parent, and its locks may be held by threads that are not here.
void check_process(const loop_hub& hub, const char* what);
// After a fork, in the child: no loop runs on this thread any more.
void leave_loop_of_parent() noexcept;

class returns;

// What another folder keeps for a loop: offload/lane.hpp.
struct loop_part {
    loop_part() = default;
    loop_part(const loop_part&) = delete;
    virtual ~loop_part() = default;
    // What was ready has run; the loop is about to wait.
    virtual void after_drain() noexcept = 0;
    // The loop ends. It may be turned if it is `own`, and is not to be referred to afterwards.
    virtual void close(bool own) noexcept = 0;
};

// A plain callback: soon, or when a timer fires. Holds itself while it is pending.
struct timer_call : engine::runnable, engine::timer, std::enable_shared_from_this<timer_call> {
    std::function<void()> f;
    local_values locals; // to run it with
    loop_state* owner = nullptr;
    std::shared_ptr<timer_call> self;
    timer_call* next_call = nullptr;
    timer_call* prev_call = nullptr;
};

// The stop source of a scope that was asked for a token.
struct stop_entry : engine::runnable {
    std::stop_source source;
};

// Takes the call out of everything; its function and, with the last handle, its memory go with the result.
std::shared_ptr<timer_call> settle_call(timer_call& c) noexcept;

struct loop_state : engine::loop_core { // virtual: testing::virtual_loop adds to it
    loop_state(engine::driver& d, engine::pool& memory, std::shared_ptr<loop_hub> h, driver::uv_driver* uv_,
               std::unique_ptr<driver::sim_driver> sim_);
    virtual ~loop_state();

    static loop_state& of(engine::loop_core& c) noexcept { return static_cast<loop_state&>(c); }

    std::shared_ptr<loop_hub> hub;
    loop* self = nullptr;
    loop* around = nullptr; // while draining: the loop whose code made us drain
    driver::uv_driver* uv = nullptr;
    std::unique_ptr<driver::sim_driver> sim;
    std::shared_ptr<loop_part> offload;
    std::shared_ptr<returns> returned; // offload/returns.hpp
    std::shared_ptr<loop_part> c_face; // eddy_loop (capi/), where C++ code made one for this loop
    exception_handler handler;
    std::unique_ptr<debug_watch> debug;     // made when debug mode is first switched on
    std::atomic<bool> checks_thread{false}; // debug mode is on
    timer_call* calls = nullptr;
    std::unordered_map<engine::scope*, std::unique_ptr<stop_entry>> stop_sources;
    lent_block* lent = nullptr;
    std::function<void()> on_shutdown;
    bool closed = false;
    bool running_main = false;
};

// A loop on libuv; null: on a uv_loop_t of its own. Throws uv_error, std::bad_alloc.
std::unique_ptr<loop_state> make_uv_state(uv_loop_s* adopted, const engine::allocator& memory);

// Set on threads that run offloaded calls: told when such a call begins or ends to block on a task of a loop.
using blocking_function = void (*)(bool begin) noexcept;
extern constinit thread_local blocking_function around_blocking;
// While one of these lives, this thread blocks so.
class blocking_section {
public:
    blocking_section() noexcept {
        if (around_blocking != nullptr) around_blocking(true);
    }
    ~blocking_section() {
        if (around_blocking != nullptr) around_blocking(false);
    }
    blocking_section(const blocking_section&) = delete;
};

// `l` is a loop of this thread that still exists: handles, and so records, may outlive theirs.
bool is_alive(const engine::loop_core* l) noexcept;
// Never throws. `l` and `r` may be null.
void report(loop_state* l, engine::task_record* r, std::string_view message, std::exception_ptr e) noexcept;
// One line on standard error: text and what the exception says.
std::string describe(std::exception_ptr e);
// file.cpp:12, without the folders that the compiler was given.
std::string place_of(const std::source_location& at);
// Where the task waits, or stands ready to go on; null when it does neither, or is not of the C++ face.
const std::source_location* await_site(engine::task_record& r) noexcept;
// EDDY_DEBUG is set, and not to 0.
bool debug_wanted() noexcept;
// In the child of a fork: a thread that is not there may have held the log's lock.
void open_log_after_fork() noexcept;
void dump(engine::loop_core& l, std::ostream& out);
void dump_task(engine::task_record& r, std::ostream& out, int indent);
// Cancels everything under the root and runs the loop until it has ended; after `limit` destroys what can be destroyed.
void shut_down(loop_state& l, duration limit);
// Destroys one task under `top` where it waits, or else `top`.
void destroy_innermost(loop_state& l, engine::task_record& top) noexcept;

// Brings every lent block to its end; an own uv_loop_t is run until they are gone.
void close_lent(loop_state& l) noexcept;

// For the time of one run(): the first SIGINT sets a flag and rings the loop, the second is not ours any more.
class sigint_guard {
public:
    explicit sigint_guard(engine::driver& d, bool wanted) noexcept;
    ~sigint_guard();
    sigint_guard(const sigint_guard&) = delete;
    // A SIGINT has come for the loop with this driver.
    [[nodiscard]] static bool pending(const engine::driver& d) noexcept;

private:
    bool active_ = false;
};

} // namespace eddy::detail
