// What the sweep over all primitives (handoff_test.cpp) is made with: one subject a primitive.
#pragma once

#include <eddy/sync/condition.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/sync/latch.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/semaphore.hpp>
#include <eddy/sync/shared_mutex.hpp>

#include "sync/support.hpp"

namespace eddy_test::handoff {

using namespace eddy;

using numbers = std::vector<int>;

// Virtual time passes only when nothing is ready: an hour of it costs nothing.
constexpr auto a_moment = 1us; // for which who is served keeps what it got
constexpr auto limit = 1h;
inline auto hold() { return sleep(a_moment); }
inline auto settled() { return sleep(1ms); }

// A primitive in a state in which everybody has to wait.
class subject {
public:
    subject() = default;
    subject(const subject&) = delete;
    virtual ~subject() = default;
    virtual task<> prepare() { co_return; }
    // Waits; once served notes `id`, and keeps what it got for a moment (a checkpoint).
    virtual task<> wait(int id) = 0;
    // Makes available what serves one waiter, or all of them.
    virtual void release() = 0;
    [[nodiscard]] virtual std::size_t waiting() const = 0;
    // How many of k one release() serves at once.
    [[nodiscard]] virtual int served_by_release(int) const { return 1; }
    // A waiter that was served and destroyed before it could take it passes it on. (Not what has happened for good.)
    [[nodiscard]] virtual bool passes_on() const { return true; }
    // Serves whoever is left, and checks that all is there: `gone` were destroyed after they had been served.
    virtual task<> finish(const numbers& gone) = 0;

    numbers served;
};

class mutex_subject final : public subject {
public:
    task<> prepare() override { held_ = co_await m_.lock(); }
    task<> wait(int id) override {
        const auto g = co_await m_.lock();
        CHECK(++inside_ == 1);
        const at_end leave([this] { --inside_; });
        served.push_back(id);
        co_await hold();
    }
    void release() override { held_.unlock(); }
    [[nodiscard]] std::size_t waiting() const override { return m_.waiters(); }
    task<> finish(const numbers&) override {
        CHECK(!m_.locked());
        const auto g = m_.try_lock();
        CHECK(g.has_value());
        co_return;
    }

private:
    mutex m_;
    mutex::guard held_;
    int inside_ = 0;
};

// k permits each; there are as many.
class semaphore_subject final : public subject {
public:
    explicit semaphore_subject(std::ptrdiff_t k) : k_(k), s_(k) {}
    task<> prepare() override { held_ = co_await s_.acquire(k_); }
    task<> wait(int id) override {
        const auto p = co_await s_.acquire(k_);
        CHECK(s_.available() + s_.statistics().held == k_);
        served.push_back(id);
        co_await hold();
    }
    void release() override { held_.release(); }
    [[nodiscard]] std::size_t waiting() const override { return s_.statistics().waiters; }
    task<> finish(const numbers&) override {
        CHECK(s_.available() == k_);
        CHECK(s_.statistics().held == 0);
        co_return;
    }

private:
    std::ptrdiff_t k_;
    semaphore s_;
    semaphore::permit held_;
};

// Items 0, 1, 2 …, one for each getter that is left.
template <class Order>
class get_subject final : public subject {
public:
    explicit get_subject(bool as_job) : as_job_(as_job) {}
    task<> wait(int id) override {
        int item = 0;
        if (as_job_) {
            const auto j = co_await q_.take();
            item = *j;
        } else {
            item = co_await q_.get();
            q_.task_done();
        }
        served.push_back(id);
        got_.push_back(item);
        co_await hold();
    }
    void release() override { CHECK(q_.try_put(put_++)); }
    [[nodiscard]] std::size_t waiting() const override { return q_.statistics().getters; }
    task<> finish(const numbers&) override {
        while (waiting() != 0) {
            CHECK(q_.empty());
            release();
            co_await settled();
        }
        while (auto v = q_.try_get()) {
            got_.push_back(*v);
            q_.task_done();
        }
        numbers all;
        for (int i = 0; i < put_; ++i)
            all.push_back(i);
        CHECK(got_ == all);
        CHECK(q_.unfinished() == 0);
    }

private:
    bool as_job_;
    queue<int, Order> q_;
    numbers got_;
    int put_ = 0;
};

// A queue of one, which is full; the putters' items are their ids.
class put_subject final : public subject {
public:
    task<> prepare() override { co_await q_.put(-1); }
    task<> wait(int id) override {
        co_await q_.put(id);
        served.push_back(id);
        co_await hold();
    }
    void release() override { got_.push_back(*q_.try_get()); }
    [[nodiscard]] std::size_t waiting() const override { return q_.statistics().putters; }
    [[nodiscard]] bool passes_on() const override { return false; } // the item is in the queue
    task<> finish(const numbers& gone) override {
        while (!q_.empty()) {
            CHECK(q_.size() == 1);
            release();
            co_await settled();
        }
        // The items of those who were told so, and of those who were destroyed when it had been put.
        numbers all{-1};
        all.insert(all.end(), served.begin(), served.end());
        all.insert(all.end(), gone.begin(), gone.end());
        std::sort(all.begin(), all.end());
        CHECK(got_ == all);
        CHECK(waiting() == 0);
    }

private:
    queue<int> q_{1};
    numbers got_;
};

class event_subject final : public subject {
public:
    task<> wait(int id) override {
        co_await e_.wait();
        served.push_back(id);
        co_await hold();
    }
    void release() override { e_.set(); }
    [[nodiscard]] std::size_t waiting() const override { return e_.statistics().waiters; }
    [[nodiscard]] int served_by_release(int k) const override { return k; }
    task<> finish(const numbers&) override { co_return; }

private:
    event e_;
};

class join_subject final : public subject {
public:
    task<> prepare() override {
        co_await q_.put(1);
        static_cast<void>(co_await q_.get());
    }
    task<> wait(int id) override {
        co_await q_.join();
        served.push_back(id);
        co_await hold();
    }
    void release() override { q_.task_done(); }
    [[nodiscard]] std::size_t waiting() const override { return q_.statistics().joiners; }
    [[nodiscard]] int served_by_release(int k) const override { return k; }
    task<> finish(const numbers&) override { co_return; }

private:
    queue<int> q_;
};

class shared_mutex_subject final : public subject {
public:
    explicit shared_mutex_subject(bool shared) : shared_(shared) {}
    task<> prepare() override { held_ = co_await m_.lock(); }
    task<> wait(int id) override {
        shared_mutex::guard alone;
        shared_mutex::shared_guard share;
        if (shared_)
            share = co_await m_.lock_shared();
        else
            alone = co_await m_.lock();
        CHECK((++inside_ == 1 || shared_));
        const at_end leave([this] { --inside_; });
        served.push_back(id);
        co_await hold();
    }
    void release() override { held_.unlock(); }
    [[nodiscard]] std::size_t waiting() const override {
        return m_.statistics().waiting_writers + m_.statistics().waiting_readers;
    }
    [[nodiscard]] int served_by_release(int k) const override { return shared_ ? k : 1; }
    task<> finish(const numbers&) override {
        const auto g = m_.try_lock();
        CHECK(g.has_value());
        co_return;
    }

private:
    bool shared_;
    shared_mutex m_;
    shared_mutex::guard held_;
    int inside_ = 0;
};

// Each notification serves one.
class condition_subject final : public subject {
public:
    explicit condition_subject(bool tested) : tested_(tested) {}
    task<> wait(int id) override {
        auto g = co_await m_.lock();
        bool waited = false;
        try {
            if (tested_)
                co_await c_.wait(g, [&waited] { return std::exchange(waited, true); });
            else
                co_await c_.wait(g);
        } catch (...) {
            CHECK(g.owns_lock());
            throw;
        }
        CHECK(g.owns_lock());
        CHECK(++inside_ == 1);
        const at_end leave([this] { --inside_; });
        served.push_back(id);
        co_await hold();
    }
    void release() override {
        const auto g = m_.try_lock(); // or whoever is about to leave has the lock
        c_.notify_one();
    }
    [[nodiscard]] std::size_t waiting() const override { return c_.statistics().waiters; }
    task<> finish(const numbers&) override {
        while (waiting() != 0) {
            CHECK(!m_.locked());
            release();
            co_await settled();
        }
        CHECK(!m_.locked());
    }

private:
    bool tested_;
    mutex m_;
    condition c_{m_};
    int inside_ = 0;
};

class latch_subject final : public subject {
public:
    task<> wait(int id) override {
        co_await l_.wait();
        served.push_back(id);
        co_await hold();
    }
    void release() override { l_.count_down(); }
    [[nodiscard]] std::size_t waiting() const override { return l_.statistics().waiters; }
    [[nodiscard]] int served_by_release(int k) const override { return k; }
    task<> finish(const numbers&) override { co_return; }

private:
    latch l_{1};
};

enum class primitive {
    mutex,
    semaphore_one,
    semaphore_three,
    get_fifo,
    get_lifo,
    get_priority,
    take_fifo,
    put,
    event,
    latch,
    writer,
    reader,
    condition,
    condition_tested,
    join,
};
constexpr int primitives = 15;

inline std::unique_ptr<subject> make(primitive p) {
    switch (p) {
    case primitive::mutex:
        return std::make_unique<mutex_subject>();
    case primitive::semaphore_one:
        return std::make_unique<semaphore_subject>(1);
    case primitive::semaphore_three:
        return std::make_unique<semaphore_subject>(3);
    case primitive::get_fifo:
        return std::make_unique<get_subject<fifo>>(false);
    case primitive::get_lifo:
        return std::make_unique<get_subject<lifo>>(false);
    case primitive::get_priority:
        return std::make_unique<get_subject<priority<>>>(false);
    case primitive::take_fifo:
        return std::make_unique<get_subject<fifo>>(true);
    case primitive::put:
        return std::make_unique<put_subject>();
    case primitive::event:
        return std::make_unique<event_subject>();
    case primitive::latch:
        return std::make_unique<latch_subject>();
    case primitive::writer:
        return std::make_unique<shared_mutex_subject>(false);
    case primitive::reader:
        return std::make_unique<shared_mutex_subject>(true);
    case primitive::condition:
        return std::make_unique<condition_subject>(false);
    case primitive::condition_tested:
        return std::make_unique<condition_subject>(true);
    case primitive::join:
        break;
    }
    return std::make_unique<join_subject>();
}

} // namespace eddy_test::handoff
