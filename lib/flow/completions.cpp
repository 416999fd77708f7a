#include <eddy/flow/completions.hpp>

#include "core/state.hpp"

#include <new>
#include <stdexcept>
#include <string>

namespace eddy::detail {

std::unique_ptr<completion_entry> completion_entry::make() {
    std::unique_ptr<completion_entry> e(new completion_entry);
    if (e == nullptr) throw std::bad_alloc();
    return e;
}

completions::~completions() {
    // Nobody waits: who does keeps us alive.
    while (oldest_ != nullptr) {
        completion_entry& e = *oldest_;
        engine::remove_joiner(*e.record, e);
        leave_alive(e);
        delete &e;
    }
    while (!ended_.empty())
        delete static_cast<completion_entry*>(ended_.pop_front());
}

void completions::add(std::unique_ptr<completion_entry> e, engine::task_record& r) {
    const bool ended = r.has(engine::scope::finished);
    if (!ended) {
        loop* running = loop::try_current();
        if ((running != nullptr && &running->detail_state() != r.loop) || (alive_ != 0 && r.loop != loop_))
            throw std::logic_error("eddy: task '" + name_of(r) +
                                   "' runs on another loop than the one that waits for it");
    }
    engine::retain(r);
    e->record = &r;
    e->owner = this;
    ++size_;
    if (ended) {
        if (!hand_over(*e)) ended_.push_back(*e);
        e.release();
        return;
    }
    loop_ = r.loop;
    ++alive_;
    e->ended = &on_end;
    e->before = newest_;
    (newest_ == nullptr ? oldest_ : newest_->after) = e.get();
    newest_ = e.get();
    engine::add_joiner(r, *e.release());
}

void completions::leave_alive(completion_entry& e) noexcept {
    (e.before == nullptr ? oldest_ : e.before->after) = e.after;
    (e.after == nullptr ? newest_ : e.after->before) = e.before;
    e.before = e.after = nullptr;
    --alive_;
}

void completions::on_end(engine::end_listener& l, engine::task_record&) noexcept {
    auto& e = static_cast<completion_entry&>(l);
    completions& self = *e.owner;
    self.leave_alive(e);
    if (!self.hand_over(e)) self.ended_.push_back(e);
}

bool completions::hand_over(completion_entry& e) noexcept {
    if (waiters_.empty()) return false;
    auto& w = static_cast<completion_waiter&>(*waiters_.pop_front());
    w.got = &e;
    w.where->loop->grant(w, engine::status::ok);
    return true;
}

void completions::cancel_all(const cancel_reason& reason) noexcept {
    for (completion_entry* e = oldest_; e != nullptr; e = e->after)
        cancel_task(*e->record, reason);
}

void completions::check_loop(const engine::scope& where, const char* what) const {
    if (alive_ != 0 && where.loop != loop_)
        throw std::logic_error(std::string("eddy: ") + what + ": its tasks run on another loop");
}

bool completions::attempt(completion_waiter& w) noexcept {
    if (!ended_.empty()) {
        w.got = static_cast<completion_entry*>(ended_.pop_front());
        return true;
    }
    return size_ == 0;
}

std::unique_ptr<completion_entry> completions::take(completion_waiter& w) noexcept {
    std::unique_ptr<completion_entry> e(std::exchange(w.got, nullptr));
    if (e != nullptr && --size_ == 0) {
        // That was the last: whoever else waits would wait for ever.
        while (!waiters_.empty()) {
            auto& other = static_cast<engine::waiter&>(*waiters_.pop_front());
            other.where->loop->grant(other, engine::status::ok);
        }
    }
    return e;
}

void completions::give_back(completion_waiter& w) noexcept {
    completion_entry& e = *std::exchange(w.got, nullptr);
    if (!hand_over(e)) ended_.push_front(e);
}

} // namespace eddy::detail
