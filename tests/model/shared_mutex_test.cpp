// Small worlds of a shared_mutex: LK-3 to LK-6, X-1 to.
#include <eddy/sync/shared_mutex.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { lock = yield_op + 1, lock_shared, try_lock, try_lock_shared, unlock, unlock_shared };

// Who is inside, alone or with others, and who waits, in one line. The guards have been moved: nobody knows the owner.
class shared_mutex_model final : public model {
public:
    std::optional<int> start(int who, const op& o, woken& w) override {
        switch (o.kind) {
        case lock:
        case lock_shared: {
            const bool shared = o.kind == lock_shared;
            if (line_.empty() && may_enter(shared)) {
                enter(who, shared);
                return 0;
            }
            line_.emplace_back(who, shared);
            return std::nullopt;
        }
        case try_lock:
        case try_lock_shared: {
            const bool shared = o.kind == try_lock_shared;
            if (!line_.empty() || !may_enter(shared)) return 0;
            enter(who, shared);
            return 1;
        }
        case unlock:
            if (writer_ != who) return was_misuse;
            writer_ = nobody;
            break;
        default:
            if (!leave_readers(who)) return was_misuse;
        }
        serve(w);
        return 0;
    }
    void leave(int who, woken& w) override {
        remove_from(line_, who);
        serve(w); // it may have been a writer that kept readers out
    }
    void undo(int who, woken& w) override {
        if (writer_ == who)
            writer_ = nobody;
        else
            leave_readers(who);
        serve(w);
    }
    void drop(int who, woken& w) override {
        if (writer_ == who) writer_ = nobody;
        while (leave_readers(who)) {
        }
        serve(w);
    }
    void destroy(woken& w) override {
        for (const auto& [who, shared] : line_)
            w.emplace_back(who, was_destroyed);
        line_.clear();
    }
    [[nodiscard]] figures numbers() const override {
        const auto readers = std::count_if(line_.begin(), line_.end(), [](const auto& p) { return p.second; });
        return {writer_ == nobody ? 0 : 1, static_cast<long>(readers_.size()),
                static_cast<long>(line_.size()) - static_cast<long>(readers), static_cast<long>(readers)};
    }
    [[nodiscard]] const char* broken() const override {
        if (writer_ != nobody && !readers_.empty()) return "a writer and a reader are inside";
        return !line_.empty() && may_enter(line_.front().second) ? "the first waits and may enter" : nullptr;
    }

private:
    static constexpr int nobody = -1;
    [[nodiscard]] bool may_enter(bool shared) const { return writer_ == nobody && (shared || readers_.empty()); }
    void enter(int who, bool shared) {
        if (shared)
            readers_.push_back(who);
        else
            writer_ = who;
    }
    bool leave_readers(int who) {
        const auto it = std::find(readers_.begin(), readers_.end(), who);
        if (it == readers_.end()) return false;
        readers_.erase(it);
        return true;
    }
    void serve(woken& w) {
        while (!line_.empty() && may_enter(line_.front().second)) {
            const auto [who, shared] = pop_front(line_);
            enter(who, shared);
            w.emplace_back(who, 0);
        }
    }
    int writer_ = nobody;
    std::vector<int> readers_; // once for each share
    std::vector<std::pair<int, bool>> line_;
};

class shared_mutex_subject final : public subject {
public:
    struct hand {
        eddy::shared_mutex::guard guard;
        std::vector<eddy::shared_mutex::shared_guard> shares;
    };
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<shared_mutex_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override {
        const eddy::shared_mutex_statistics s = m_.statistics();
        return {s.locked ? 1 : 0, static_cast<long>(s.readers), static_cast<long>(s.waiting_writers),
                static_cast<long>(s.waiting_readers)};
    }
    eddy::task<int> perform(world& w, int me, hand& h, op o) {
        int r = 0;
        try {
            switch (o.kind) {
            case yield_op:
                co_await eddy::yield();
                break;
            case lock:
                if (w.timed(me)) {
                    auto g = co_await eddy::move_on_after(limit, m_.lock());
                    if (g.has_value())
                        h.guard = std::move(*g);
                    else
                        r = was_timed_out;
                } else {
                    h.guard = co_await m_.lock();
                }
                break;
            case lock_shared:
                if (w.timed(me)) {
                    auto g = co_await eddy::move_on_after(limit, m_.lock_shared());
                    if (g.has_value())
                        h.shares.push_back(std::move(*g));
                    else
                        r = was_timed_out;
                } else {
                    auto g = co_await m_.lock_shared();
                    h.shares.push_back(std::move(g));
                }
                break;
            case try_lock:
                if (auto g = m_.try_lock(); g.has_value()) {
                    h.guard = std::move(*g);
                    r = 1;
                }
                break;
            case try_lock_shared:
                if (auto g = m_.try_lock_shared(); g.has_value()) {
                    h.shares.push_back(std::move(*g));
                    r = 1;
                }
                break;
            case unlock:
                h.guard.unlock();
                break;
            default: {
                eddy::shared_mutex::shared_guard last;
                if (!h.shares.empty()) {
                    last = std::move(h.shares.back());
                    h.shares.pop_back();
                }
                last.unlock();
            }
            }
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    eddy::shared_mutex m_;
};

primitive shared_mutex_worlds() {
    primitive p;
    p.name = "shared_mutex";
    p.op_names = {"yield", "lock", "lock_shared", "try_lock", "try_lock_shared", "unlock", "unlock_shared"};
    p.checkpoint = {true, true, true, false, false, false, false};
    p.make_model = [](int) -> std::unique_ptr<model> { return std::make_unique<shared_mutex_model>(); };
    p.make_subject = [](int) -> std::unique_ptr<subject> { return std::make_unique<shared_mutex_subject>(); };
    p.first = {make_program({{lock}, {unlock}}), make_program({{lock_shared}, {lock_shared}}),
               make_program({{lock_shared}, {unlock_shared}})};
    p.second = all_programs({{yield_op}, {lock}, {lock_shared}, {unlock}, {unlock_shared}}, 2);
    for (const op o : {op{try_lock}, op{try_lock_shared}}) {
        p.second.push_back(make_program({o, {lock}}));
        p.second.push_back(make_program({{lock_shared}, o}));
    }
    p.first_long = {make_program({{lock_shared}, {unlock_shared}, {lock}})};
    p.second_long = all_programs({{lock}, {lock_shared}, {unlock}}, 3);
    p.any = {{yield_op}, {lock},   {lock},   {lock_shared},   {lock_shared},   {try_lock},     {try_lock_shared},
             {unlock},   {unlock}, {unlock}, {unlock_shared}, {unlock_shared}, {unlock_shared}};
    return p;
}

} // namespace

TEST_CASE("LK-3 LK-4 LK-5 LK-6 X-1 X-2 X-3 X-4 X-5 a shared_mutex in every small world does what its model does") {
    explore(shared_mutex_worlds());
}
TEST_CASE("a shared_mutex does what its model does in long random runs") { explore_at_random(shared_mutex_worlds()); }
