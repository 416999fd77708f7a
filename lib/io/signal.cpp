#include <eddy/io/signal.hpp>

#include "io/uv_block.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <vector>

namespace eddy {

namespace {

struct named_signal {
    int number;
    const char* name;
};

constexpr named_signal named_signals[] = {
    {SIGHUP, "SIGHUP"},       {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},   {SIGILL, "SIGILL"},
    {SIGTRAP, "SIGTRAP"},     {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},     {SIGFPE, "SIGFPE"},
    {SIGKILL, "SIGKILL"},     {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"},   {SIGUSR2, "SIGUSR2"},
    {SIGPIPE, "SIGPIPE"},     {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},   {SIGCHLD, "SIGCHLD"},
    {SIGCONT, "SIGCONT"},     {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"},   {SIGTTIN, "SIGTTIN"},
    {SIGTTOU, "SIGTTOU"},     {SIGURG, "SIGURG"},   {SIGXCPU, "SIGXCPU"},   {SIGXFSZ, "SIGXFSZ"},
    {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGWINCH, "SIGWINCH"}, {SIGSYS, "SIGSYS"},
#if defined(SIGIO)
    {SIGIO, "SIGIO"},
#endif
#if defined(SIGPWR)
    {SIGPWR, "SIGPWR"},
#endif
#if defined(SIGSTKFLT)
    {SIGSTKFLT, "SIGSTKFLT"},
#endif
};

} // namespace

std::string signal_name(int signum) {
    for (const named_signal& s : named_signals)
        if (s.number == signum) return s.name;
#if defined(SIGRTMIN)
    if (signum == SIGRTMIN) return "SIGRTMIN";
    if (signum > SIGRTMIN && signum <= SIGRTMAX) return "SIGRTMIN+" + std::to_string(signum - SIGRTMIN);
#endif
    return "signal " + std::to_string(signum);
}

namespace detail {

struct signal_block final : uv_block {
    // One signal number. What has arrived and was not given away is a count, so that keeping it needs no memory.
    struct watch {
        uv_signal_t handle;
        int signum = 0;
        std::size_t count = 0;
        std::uint64_t arrived = 0; // when the oldest that is kept arrived, counted in arrivals
    };

    signal_block(loop& l, uv_loop_t* u, std::vector<watch> w) noexcept : uv_block(l, u), watches(std::move(w)) {}

    // 0 or a negative libuv error; then every handle has been closed again.
    int open() noexcept {
        for (watch& w : watches) {
            int e = uv_signal_init(uv(), &w.handle);
            if (e == 0) {
                opened(w.handle);
                ++open_count_;
                e = uv_signal_start(
                    &w.handle, [](uv_signal_t* h, int n) { of<signal_block>(h).on_signal(n); }, w.signum);
            }
            if (e != 0) {
                failed_signum = w.signum;
                close_all();
                return e;
            }
            uv_unref(reinterpret_cast<uv_handle_t*>(&w.handle));
        }
        return 0;
    }

    void on_signal(int signum) noexcept {
        if (!give(signum)) keep(signum, ++arrivals_);
    }
    // Nobody took it: it is the next one to be given.
    void take_back(int signum) noexcept {
        if (core() != nullptr && !give(signum)) keep(signum, 0);
    }
    // The signal that has waited longest; 0 when there is none.
    int take() noexcept {
        watch* oldest = nullptr;
        for (watch& w : watches)
            if (w.count != 0 && (oldest == nullptr || w.arrived < oldest->arrived)) oldest = &w;
        if (oldest == nullptr) return 0;
        --oldest->count;
        // The others of this number came later; behind all that is here now is the fair guess.
        oldest->arrived = ++arrivals_;
        return oldest->signum;
    }

    void leave() noexcept {
        while (core() != nullptr && !waiting.empty())
            core()->grant(static_cast<engine::waiter&>(*waiting.pop_front()), engine::status::object_destroyed);
        close_all();
    }

    std::vector<watch> watches;
    engine::runnable_list waiting;
    int failed_signum = 0;

private:
    bool give(int signum) noexcept {
        if (waiting.empty()) return false;
        auto& op = static_cast<signal_operation&>(*waiting.pop_front());
        op.signum_ = signum;
        core()->grant(op, engine::status::ok);
        return true;
    }
    void keep(int signum, std::uint64_t when) noexcept {
        for (watch& w : watches) {
            if (w.signum != signum) continue;
            if (w.count++ == 0 || when < w.arrived) w.arrived = when;
            return;
        }
    }
    void close_all() noexcept {
        while (open_count_ > 0)
            close(watches[--open_count_].handle);
    }
    void let_go() noexcept override {
        forget_loop();
        leave();
    }

    std::size_t open_count_ = 0;
    std::uint64_t arrivals_ = 0;
};

signal_reference::signal_reference(signal_block& b) noexcept : block_(&b) { b.retain(); }
signal_reference::signal_reference(const signal_reference& o) noexcept : block_(o.block_) {
    if (block_ != nullptr) block_->retain();
}
signal_reference::~signal_reference() {
    if (block_ != nullptr) block_->release();
}

signal_operation::~signal_operation() {
    end();
    if (signum_ != 0) block_->take_back(signum_);
}

bool signal_operation::attempt() {
    if (block_.get() == nullptr) throw std::logic_error("eddy: next() of a signal_set that was moved from");
    if (block_->core() != where->loop)
        throw std::logic_error("eddy: next() of a signal_set was awaited on another loop than the one it was made on");
    signum_ = block_->take();
    return signum_ != 0;
}

void signal_operation::enqueue() noexcept { block_->waiting.push_back(*this); }

int signal_operation::take() noexcept { return std::exchange(signum_, 0); }

std::size_t signal_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    std::size_t used = 0;
    for (const signal_block::watch& one : static_cast<const signal_operation&>(w).block_->watches) {
        char name[16] = "";
        for (const named_signal& s : named_signals)
            if (s.number == one.signum) std::snprintf(name, sizeof name, " %s", s.name);
        if (name[0] == '\0') std::snprintf(name, sizeof name, " %d", one.signum);
        const int n = std::snprintf(out + used, room - used, "%s%s", used == 0 ? "signal" : "", name);
        if (n < 0 || static_cast<std::size_t>(n) >= room - used) return room == 0 ? 0 : room - 1;
        used += static_cast<std::size_t>(n);
    }
    return used;
}

} // namespace detail

signal_set::signal_set(std::initializer_list<int> signums) {
    loop& l = loop::current();
    uv_loop_t* const uv = l.uv();
    if (signums.size() == 0) throw std::logic_error("eddy: a signal_set needs at least one signal, and got none");
    std::vector<detail::signal_block::watch> watches;
    watches.reserve(signums.size());
    for (const int n : signums) {
        if (n <= 0 || n >= NSIG || n == SIGKILL || n == SIGSTOP)
            throw std::logic_error("eddy: " + signal_name(n) + " can't be watched");
        if (std::any_of(watches.begin(), watches.end(), [n](const auto& w) { return w.signum == n; })) continue;
        watches.emplace_back().signum = n;
    }
    auto* const block = new detail::signal_block(l, uv, std::move(watches));
    if (block == nullptr) throw std::bad_alloc();
    block_ = detail::signal_reference(*block);
    if (const int e = block->open(); e != 0)
        throw uv_error(e, "eddy: cannot watch " + signal_name(block->failed_signum));
}

signal_set& signal_set::operator=(signal_set&& other) noexcept {
    if (this == &other) return *this;
    leave();
    block_ = std::move(other.block_);
    return *this;
}

signal_set::~signal_set() { leave(); }

void signal_set::leave() noexcept {
    if (block_.get() != nullptr) block_->leave();
    block_ = {};
}

detail::signal_operation signal_set::next() const noexcept { return detail::signal_operation(block_); }

std::size_t signal_set::pending() const noexcept {
    std::size_t n = 0;
    if (block_.get() != nullptr)
        for (const auto& w : block_->watches)
            n += w.count;
    return n;
}

} // namespace eddy
