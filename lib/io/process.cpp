#include <eddy/io/process.hpp>
#include <eddy/io/signal.hpp>

#include "io/process_block.hpp"

namespace eddy {

std::string to_string(const exit_status& s) {
    return s.exited() ? "exit " + std::to_string(s.code()) : signal_name(s.signal());
}

process& process::operator=(process&& other) noexcept {
    if (this == &other) return *this;
    leave();
    block_ = std::move(other.block_);
    return *this;
}

process::~process() { leave(); }

void process::leave() noexcept {
    if (block_) block_->leave();
    block_ = {};
}

int process::pid() const noexcept { return block_ ? block_->pid : 0; }

bool process::done() const noexcept { return !block_ || block_->exited; }

bool process::kill(int signum) {
    if (done()) return false;
    const int e = block_->signal(signum);
    if (e != 0 && e != UV_ESRCH)
        throw uv_error(e,
                       "eddy: cannot send signal " + std::to_string(signum) + " to process " + std::to_string(pid()));
    return e == 0;
}

detail::process_exit_operation process::exited() const noexcept {
    return detail::process_exit_operation(block_, false);
}

detail::process_finish_operation process::finished() const noexcept { return detail::process_finish_operation(block_); }

detail::process_exit_operation process::terminate() noexcept { return detail::process_exit_operation(block_, true); }

namespace detail {

process_reference::process_reference(process_block& b) noexcept : block_(&b) { b.retain(); }
process_reference::process_reference(const process_reference& o) noexcept : block_(o.block_) {
    if (block_ != nullptr) block_->retain();
}
process_reference::~process_reference() {
    if (block_ != nullptr) block_->release();
}

namespace {

process_block& checked(const process_reference& b, const char* what) {
    if (!b) throw std::logic_error(std::string("eddy: ") + what + " of a process that was moved from");
    return *b.get();
}

} // namespace

// ---- exited(), terminate()

bool process_exit_operation::start() {
    if (!terminate_) return leaf_operation::start();
    // Shielded: clean-up in a scope that has been cancelled is what it is for.
    engine::waiter::kind = &kind;
    if (!attempt()) return false;
    result = engine::status::ok;
    engine::waiter::state = engine::wait_state::done;
    return true;
}

bool process_exit_operation::attempt() {
    process_block& b = checked(block_, terminate_ ? "terminate()" : "exited()");
    if (b.exited) return true;
    b.check_loop(*where, terminate_ ? "terminate()" : "exited()");
    if (terminate_) b.begin_termination();
    return false;
}

void process_exit_operation::enqueue() noexcept { block_->exit_waiters.push_back(*this); }

exit_status process_exit_operation::take() { return block_->status; }

engine::abort_result process_exit_operation::abort_it(engine::waiter& w) noexcept {
    if (static_cast<process_exit_operation&>(w).terminate_) return engine::abort_result::cannot;
    w.unlink();
    return engine::abort_result::gone;
}

std::size_t process_exit_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& self = static_cast<const process_exit_operation&>(w);
    return self.block_->describe(self.terminate_ ? "process.terminate" : "process.exited", out, room);
}

// ---- finished()

bool process_finish_operation::attempt() {
    process_block& b = checked(block_, "finished()");
    if (b.finished) return true;
    b.check_loop(*where, "finished()");
    return false;
}

void process_finish_operation::enqueue() noexcept { block_->finish_waiters.push_back(*this); }

process_result process_finish_operation::take() { return block_->take_result(); }

std::size_t process_finish_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    return static_cast<const process_finish_operation&>(w).block_->describe("process.finished", out, room);
}

// ---- run_process()

bool run_process_operation::attempt() noexcept {
    try {
        process_.emplace(process::start(options_));
        return false;
    } catch (...) {
        error_ = std::current_exception();
        result = engine::status::exception;
        return true;
    }
}

void run_process_operation::enqueue() noexcept { block().finish_waiters.push_back(*this); }

process_result run_process_operation::take() { return block().take_result(); }

void run_process_operation::fail() {
    if (error_ != nullptr) std::rethrow_exception(error_);
    leaf_operation::fail();
}

engine::abort_result run_process_operation::abort_it(engine::waiter& w) noexcept {
    process_block& b = static_cast<run_process_operation&>(w).block();
    if (b.exited) {
        w.unlink();
        return engine::abort_result::gone;
    }
    b.begin_termination();
    return engine::abort_result::later;
}

std::size_t run_process_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    return static_cast<const run_process_operation&>(w).block().describe("run_process", out, room);
}

} // namespace detail
} // namespace eddy
