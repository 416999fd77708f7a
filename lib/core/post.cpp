// What other threads may ask of a loop: post, stop, keep alive.
#include <eddy/core/remote.hpp>

#include "core/state.hpp"

#include <thread>

namespace eddy {

namespace detail {

namespace {

struct posted : engine::mail {
    local_values locals; // to run it with
    std::function<void()> f;
    loop_hub* hub = nullptr;
};

} // namespace

bool post_to_hub(loop_hub& hub, std::function<void()> f) {
    check_process(hub, "post");
    if (!f) throw std::logic_error("eddy: post needs a function, and got an empty one");
    auto p = std::make_unique<posted>();
    p->f = std::move(f);
    p->locals = captured_locals();
    p->deliver = [](engine::mail& m) noexcept {
        const std::unique_ptr<posted> mine(static_cast<posted*>(&m));
        const locals_scope locals(std::move(mine->locals));
        try {
            const slow_section watched("post");
            mine->f();
        } catch (...) {
            loop* l = loop::try_current();
            report(l == nullptr ? nullptr : &l->detail_state(), nullptr, "a posted function threw",
                   std::current_exception());
        }
    };
    p->discard = [](engine::mail& m) noexcept { delete static_cast<posted*>(&m); };
    if (!hub.box.post(*p)) return false;
    p.release(); // the box's
    return true;
}

} // namespace detail

keep_alive& keep_alive::operator=(keep_alive&& o) noexcept {
    if (this != &o) {
        const class keep_alive old(std::move(*this));
        hub_ = std::move(o.hub_);
    }
    return *this;
}

keep_alive::~keep_alive() {
    if (hub_ != nullptr) static_cast<detail::loop_hub*>(hub_.get())->box.let_go();
}

namespace {
// The uv_run of a host has to learn of what was asked before it runs.
void notice_at_home(detail::loop_state& s) noexcept {
    if (std::this_thread::get_id() == s.hub->thread) detail::notice(*s.self);
}
} // namespace

bool loop::post(std::function<void()> f) {
    const bool taken = detail::post_to_hub(*state_->hub, std::move(f));
    notice_at_home(*state_);
    return taken;
}

loop_ref loop::ref() noexcept { return loop_ref(state_->hub); }

class keep_alive loop::keep_alive() {
    auto kept = ref().keep_alive();
    notice_at_home(*state_);
    return kept;
}

bool loop_ref::post(std::function<void()> f) const {
    return hub_ != nullptr && detail::post_to_hub(*hub_, std::move(f));
}

void loop_ref::stop() const {
    post([] { loop::current().stop(); });
}

class keep_alive loop_ref::keep_alive() const {
    if (hub_ == nullptr) return {};
    hub_->box.hold();
    hub_->box.ring(); // an adopted loop references its handle from the next turn on
    return eddy::keep_alive(hub_);
}

} // namespace eddy
