#include <eddy/testing/virtual_loop.hpp>

#include "core/state.hpp"

#include <new>

namespace eddy::testing {

namespace {

thread_local std::uint64_t next_seed = 0;

// splitmix64 (Steele, Lea, Flood 2014): one word of state, every seed a good one.
struct seeded_order {
    std::uint64_t state = 0;
    engine::hooks hooks;

    static std::size_t pick(void* user, std::size_t n) noexcept {
        auto& self = *static_cast<seeded_order*>(user);
        std::uint64_t z = (self.state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return static_cast<std::size_t>((z ^ (z >> 31)) % n);
    }
};

struct virtual_state : eddy::detail::loop_state {
    virtual_state(engine::pool& memory, driver::sim_driver& clock, std::unique_ptr<driver::sim_driver> d)
        : loop_state(clock, memory, std::make_shared<eddy::detail::loop_hub>(), nullptr, std::move(d)) {
        if (next_seed == 0) return;
        order.state = next_seed;
        order.hooks.user = &order;
        order.hooks.pick = &seeded_order::pick;
        set_hooks(&order.hooks);
    }
    seeded_order order;
};

std::unique_ptr<eddy::detail::loop_state> make_state() {
    engine::pool* p = engine::pool::make(engine::allocator::system());
    if (p == nullptr) throw std::bad_alloc();
    auto d = std::make_unique<driver::sim_driver>();
    driver::sim_driver& clock = *d;
    return std::make_unique<virtual_state>(*p, clock, std::move(d));
}

} // namespace

void seed(std::uint64_t n) noexcept { next_seed = n; }

virtual_loop::virtual_loop() : loop(make_state()) {}
virtual_loop::~virtual_loop() = default;

void virtual_loop::settle() {
    eddy::detail::loop_state& s = detail_state();
    if (s.draining()) throw std::logic_error("eddy: settle() inside a running task");
    do
        s.drain();
    while (s.has_ready() ||
           (s.has_timers() && s.next_deadline() <= s.now())); // timers that were made with a past deadline
}

void virtual_loop::advance_by(duration d) {
    eddy::detail::loop_state& s = detail_state();
    const std::int64_t end = eddy::detail::saturating_add(s.now(), d);
    if (!s.draining()) {
        settle();
        while (s.has_timers() && s.next_deadline() <= end) {
            s.sim->advance(s.next_deadline() - s.now());
            settle();
        }
    }
    s.sim->advance(end - s.now());
    if (!s.draining()) settle();
}

} // namespace eddy::testing
