#include "offload/returns.hpp"

#include "offload/job_link.hpp"

namespace eddy::detail {

void done_stack::collect(job_list& to) noexcept {
    if (first_.load() == nullptr) return;
    thread_job* latest = first_.exchange(nullptr);
    // Last in, first out: turned round while they go into the list.
    thread_job& end = *to.head_.before;
    while (latest != nullptr) {
        thread_job& job = *std::exchange(latest, latest->after);
        static_cast<offload_job&>(job).at = offload_job::stage::finished;
        job.before = &end;
        job.after = end.after;
        end.after->before = &job;
        end.after = &job;
    }
}

returns::returns(std::shared_ptr<loop_hub> hub) noexcept : hub_(std::move(hub)) {
    note_.deliver = [](engine::mail& m) noexcept {
        const std::shared_ptr<returns> mine = std::move(static_cast<note&>(m).owner);
        mine->announced_.store(false);
        mine->bring_home();
    };
    note_.discard = [](engine::mail& m) noexcept {
        const std::shared_ptr<returns> mine = std::move(static_cast<note&>(m).owner);
    };
}

void returns::announce() noexcept {
    if (announced_.load() || announced_.exchange(true)) return;
    note_.owner = shared_from_this();
    if (!hub_->box.post(note_)) note_.owner.reset(); // the loop is closed, and nobody waits
}

pool_returns& pool_returns::of(loop_state& l) {
    if (l.returned == nullptr) l.returned = std::make_shared<pool_returns>(l.hub);
    return static_cast<pool_returns&>(*l.returned);
}

void pool_returns::bring_home() noexcept {
    collect();
    while (!home_.empty()) {
        auto& job = static_cast<offload_job&>(home_.pop_front());
        job.at = offload_job::stage::idle;
        finish_job(job);
    }
}

} // namespace eddy::detail
