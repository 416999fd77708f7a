#include <eddy/sync/channel.hpp>

#include "core/log.hpp"
#include "core/state.hpp"

#include <string>
#include <utility>

namespace eddy::detail {

// The way to one loop. Belongs to the channel; a reference is held while the node is in the loop's box.
struct channel_port : engine::mail {
    channel_port(channel_core& c, std::shared_ptr<loop_hub> h) noexcept : core(&c), hub(std::move(h)) {}
    [[nodiscard]] bool is_here() const noexcept { return hub->thread == std::this_thread::get_id(); }

    channel_core* const core;
    std::shared_ptr<loop_hub> hub;
    engine::runnable_list news; // parties whose outcome is decided and who have not been told
    std::size_t parties = 0;    // in the lines and in `news`
    bool posted = false;
    std::unique_ptr<channel_port> following;
};

namespace {

channel_party& party(engine::runnable* r) noexcept { return static_cast<channel_party&>(*r); }

} // namespace

channel_core::channel_core(std::size_t capacity) noexcept : capacity_(capacity) {}

channel_core::~channel_core() {
    while (ports_ != nullptr) // one after the other: not by recursion
        ports_ = std::move(ports_->following);
}

bool channel_core::closed() const noexcept {
    const lock held = locked();
    return closed_;
}

// ---- waiting

channel_port& channel_core::port_of(engine::loop_core& l) {
    const std::shared_ptr<loop_hub>& hub = loop_state::of(l).hub;
    for (channel_port* p = ports_.get(); p != nullptr; p = p->following.get())
        if (p->hub == hub) return *p;
    for (channel_port* p = ports_.get(); p != nullptr; p = p->following.get())
        if (p->parties == 0 && !p->posted && p->hub->box.closed()) { // its loop has gone
            p->hub = hub;
            return *p;
        }
    auto fresh = std::make_unique<channel_port>(*this, hub);
    fresh->deliver = [](engine::mail& m) noexcept {
        auto& p = static_cast<channel_port&>(m);
        channel_core& core = *p.core;
        {
            const lock held = core.locked();
            p.posted = false;
            deliver(p);
        }
        core.release();
    };
    fresh->discard = [](engine::mail& m) noexcept {
        auto& p = static_cast<channel_port&>(m);
        channel_core& core = *p.core;
        {
            const lock held = core.locked();
            p.posted = false;
        }
        core.release();
    };
    fresh->following = std::move(ports_);
    ports_ = std::move(fresh);
    return *ports_;
}

void channel_core::line_up(channel_party& p, engine::runnable_list& line) {
    p.port = &port_of(*p.where->loop);
    ++p.port->parties;
    p.at = channel_party::place::line;
    p.shared = true;
    line.push_back(p);
}

void channel_core::about_to_park(channel_party& p) noexcept {
    const lock held = locked();
    // Decided since it joined the line, and passed over because it was not parked: have it looked at again.
    if (p.at == channel_party::place::port) announce(*p.port);
}

void channel_core::block(channel_party& p, engine::runnable_list& line, lock& held) noexcept {
    std::condition_variable told;
    p.blocked = &told;
    p.at = channel_party::place::line;
    line.push_back(p);
    held.unlock();
    const blocking_section section; // may start threads, and locks what they share
    held.lock();
    told.wait(held, [&p] { return p.at == channel_party::place::none; });
    held.unlock();
}

// ---- ending a wait

channel_party& channel_core::settle_first(engine::runnable_list& line, engine::status outcome) noexcept {
    channel_party& p = party(line.pop_front());
    p.outcome = outcome;
    if (p.blocked != nullptr) {
        p.at = channel_party::place::none;
        p.blocked->notify_one(); // under the lock: it lives on the stack of the thread that we wake
        return p;
    }
    p.at = channel_party::place::port;
    p.port->news.push_back(p);
    if (p.port->is_here()) deliver(*p.port);
    if (!p.port->news.empty()) announce(*p.port);
    return p;
}

void channel_core::settle_all(engine::status outcome) noexcept {
    for (engine::runnable_list* line : {&receivers_, &senders_})
        while (!line->empty())
            settle_first(*line, outcome);
}

// Under the lock, on the loop's thread.
void channel_core::grant(channel_party& p) noexcept {
    p.unlink();
    p.at = channel_party::place::none;
    p.shared = false;
    --p.port->parties;
    p.where->loop->grant(p, p.outcome);
}

// The same. Who has not been parked yet stays: about_to_park() has it looked at again.
void channel_core::deliver(channel_port& port) noexcept {
    engine::loop_core* home = nullptr;
    for (engine::runnable* r = port.news.front(); r != nullptr;) {
        channel_party& p = party(r);
        r = port.news.after(r);
        if (p.state != engine::wait_state::waiting) continue;
        home = p.where->loop;
        grant(p);
    }
    if (home != nullptr) notice(*loop_state::of(*home).self); // we may be in a callback of the host
}

void channel_core::announce(channel_port& port) noexcept {
    if (port.posted) return;
    retain();
    port.posted = port.hub->box.post(port);
    if (!port.posted) refs_.fetch_sub(1, std::memory_order_relaxed); // never the last: our caller has one
}

engine::abort_result channel_core::abort(channel_party& p) noexcept {
    const lock held = locked();
    if (p.at == channel_party::place::port) {
        // Not by the mail that is on the way: a race that this operation has lost looks for what is granted, and undoes
        // it, when it has cancelled all.
        grant(p);
        return engine::abort_result::later;
    }
    p.unlink();
    p.at = channel_party::place::none;
    p.shared = false;
    --p.port->parties;
    return engine::abort_result::gone;
}

void channel_core::withdraw(channel_party& p) noexcept {
    const lock held = locked();
    p.unlink();
    p.at = channel_party::place::none;
    p.shared = false;
    --p.port->parties;
}

// ---- ends

void channel_core::close() noexcept {
    const lock held = locked();
    if (closed_) return;
    closed_ = true;
    settle_all(engine::status::closed); // receivers that wait found it empty
}

void channel_core::detach() noexcept {
    const lock held = locked();
    closed_ = true;
    destroyed_ = true;
    bool quiet = true;
    for (const engine::runnable_list* line : {&receivers_, &senders_})
        for (engine::runnable* r = line->front(); r != nullptr; r = line->after(r)) {
            const channel_party& p = party(r);
            // What the waiters of other threads are in the middle of is not ours to look at.
            if (p.blocked != nullptr || !p.port->is_here() || !p.where->loop->root.has(engine::scope::cancelled))
                quiet = false;
        }
    if (!quiet)
        log_as(log_level::misuse, "a channel was destroyed while somebody waited for it: %zu to receive, %zu to send",
               receivers_.size(), senders_.size());
    settle_all(engine::status::object_destroyed);
}

void check_may_block(const char* what) {
    if (loop::try_current() != nullptr)
        throw std::logic_error(std::string("eddy: ") + what +
                               "() on a thread whose loop is running would block all of its tasks; there, co_await the "
                               "one without _blocking");
}

void throw_channel_ended(engine::status outcome, const char* what) {
    if (outcome == engine::status::closed) throw queue_closed(std::string("eddy: ") + what + ": the channel is closed");
    throw object_destroyed(std::string("eddy: ") + what + ": the channel has been destroyed");
}

} // namespace eddy::detail
