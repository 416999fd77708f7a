#include <eddy/flow/wait.hpp>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <unordered_set>

namespace eddy::detail {

void throw_wait_for_nothing() { throw std::logic_error("eddy: wait() was given no handles: nothing could ever end"); }

std::vector<std::size_t> first_of_each(const std::vector<engine::task_record*>& records, const char* what) {
    std::vector<std::size_t> first;
    std::unordered_set<const engine::task_record*> seen;
    first.reserve(records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (records[i] == nullptr)
            throw std::logic_error(std::string("eddy: ") + what + " was given an empty task_handle (number " +
                                   std::to_string(i) + ")");
        if (seen.insert(records[i]).second) first.push_back(i);
    }
    return first;
}

wait_leaf::~wait_leaf() {
    leave();
    end();
}

bool wait_leaf::is_enough(const engine::task_record& r) const noexcept {
    return how_ == eddy::wait_for::first_completed ||
           (how_ == eddy::wait_for::first_exception && r.has(engine::scope::failed));
}

void wait_leaf::listen_to(const std::vector<engine::task_record*>& records) {
    const engine::task_record* self = engine::task_of(*where);
    members_ = std::make_unique<member[]>(records.size());
    for (engine::task_record* r : records) {
        if (r->has(engine::scope::finished)) {
            enough_ = enough_ || is_enough(*r);
            continue;
        }
        if (r == self) throw std::logic_error("eddy: task '" + name_of(*r) + "' waits for itself");
        if (r->loop != where->loop)
            throw std::logic_error("eddy: wait() was given task '" + name_of(*r) + "', which runs on another loop");
        member& m = members_[count_++];
        m.ended = &on_end;
        m.record = r;
        m.owner = this;
    }
    alive_ = count_;
}

bool wait_leaf::attempt() {
    if (enough_ || alive_ == 0) return true;
    if (!limit_.has_value() || *limit_ == duration::max()) return false;
    engine::loop_core& l = *where->loop;
    if (*limit_ <= duration::zero()) {
        yield_after = true;
        result = engine::status::ok;
        return false;
    }
    fire = [](engine::timer& t) noexcept {
        auto& self = static_cast<wait_leaf&>(t);
        // Armed before it is parked: a wrapper may give up in between.
        if (self.engine::waiter::state != engine::wait_state::waiting) return;
        self.leave();
        self.where->loop->grant(self, engine::status::ok);
    };
    // What ends at the very limit has ended in time.
    if (l.arm(*this, saturating_add(l.now(), *limit_), true)) return false;
    result = engine::status::no_memory;
    return true;
}

void wait_leaf::enqueue() noexcept {
    for (std::size_t i = 0; i < count_; ++i)
        engine::add_joiner(*members_[i].record, members_[i]);
}

void wait_leaf::leave() noexcept {
    if (armed()) where->loop->disarm(*this);
    for (std::size_t i = 0; i < count_; ++i)
        if (members_[i].linked()) engine::remove_joiner(*members_[i].record, members_[i]);
}

void wait_leaf::on_end(engine::end_listener& l, engine::task_record& r) noexcept {
    wait_leaf& self = *static_cast<member&>(l).owner;
    --self.alive_;
    if (self.alive_ != 0 && !self.is_enough(r)) return;
    self.leave();
    self.where->loop->grant(self, engine::status::ok);
}

engine::abort_result wait_leaf::abort_it(engine::waiter& w) noexcept {
    static_cast<wait_leaf&>(w).leave();
    return engine::abort_result::gone;
}

std::size_t wait_leaf::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& self = static_cast<const wait_leaf&>(w);
    const int n = std::snprintf(out, room, "wait for %s of tasks, %zu alive",
                                self.how_ == eddy::wait_for::all ? "all" : "the first", self.alive_);
    return n < 0 ? 0 : std::min(static_cast<std::size_t>(n), room == 0 ? 0 : room - 1);
}

} // namespace eddy::detail
