#include <eddy/engine/pool.hpp>

#include "support/sanitizers.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using eddy::engine::pool;

namespace {

// Counts what a pool takes from the system and gives back; fails on request.
class counting_allocator {
public:
    [[nodiscard]] eddy::engine::allocator get() noexcept { return {this, &alloc, &free}; }
    [[nodiscard]] long bytes() const noexcept { return bytes_.load(); }
    [[nodiscard]] long most() const noexcept { return most_.load(); }
    void fail(bool on) noexcept { fails_ = on; }

private:
    static void* alloc(void* user, std::size_t size, std::size_t align) noexcept {
        auto& self = *static_cast<counting_allocator*>(user);
        if (self.fails_) return nullptr;
        const long now = self.bytes_ += static_cast<long>(size);
        long most = self.most_.load();
        while (most < now && !self.most_.compare_exchange_weak(most, now)) {
        }
        return align <= alignof(std::max_align_t) ? std::malloc(size) : std::aligned_alloc(align, size);
    }
    static void free(void* user, void* block, std::size_t size, std::size_t) noexcept {
        static_cast<counting_allocator*>(user)->bytes_ -= static_cast<long>(size);
        std::free(block);
    }
    std::atomic<long> bytes_{0};
    std::atomic<long> most_{0};
    std::atomic<bool> fails_{false};
};

[[maybe_unused]] constexpr long slab_bytes = 64 * 1024; // unused where there are no slabs, under ASan

// A pool that is this thread's while the object lives, as a loop's is while it runs.
class current {
public:
    explicit current(const eddy::engine::allocator& from)
        : mine(*pool::make(from)), before_(eddy::engine::exchange_current_pool(&mine)) {}
    ~current() {
        eddy::engine::exchange_current_pool(before_);
        mine.release();
    }
    current(const current&) = delete;
    pool& mine;

private:
    pool* before_;
};

// What another thread is to free.
class hand_over {
public:
    void give(void* p) {
        std::unique_lock lock(guard_);
        changed_.wait(lock, [this] { return blocks_.size() < 1000; });
        blocks_.push_back(p);
        changed_.notify_all();
    }
    void* take() {
        std::unique_lock lock(guard_);
        changed_.wait(lock, [this] { return !blocks_.empty(); });
        void* p = blocks_.front();
        blocks_.pop_front();
        changed_.notify_all();
        return p;
    }

private:
    std::mutex guard_;
    std::condition_variable changed_;
    std::deque<void*> blocks_;
};

} // namespace

TEST_CASE("blocks of every size are aligned, apart from each other, and all come back") {
    counting_allocator from;
    {
        const current here(from.get());
        std::vector<std::pair<unsigned char*, std::size_t>> blocks;
        for (std::size_t size = 0; size <= 3000; size += size < 1100 ? 1 : 97) {
            auto* p = static_cast<unsigned char*>(here.mine.allocate(size));
            REQUIRE(p != nullptr);
            CHECK(reinterpret_cast<std::uintptr_t>(p) % 16 == 0);
            std::memset(p, static_cast<int>(size % 251), size);
            blocks.emplace_back(p, size);
        }
        CHECK(here.mine.live_blocks() == blocks.size());
        int overwritten = 0;
        for (auto [p, size] : blocks)
            for (std::size_t i = 0; i < size; ++i)
                overwritten += p[i] != size % 251;
        CHECK(overwritten == 0);
        for (auto [p, size] : blocks)
            pool::deallocate(p, size);
        CHECK(here.mine.live_blocks() == 0);
        CHECK(here.mine.live_bytes() == 0);
    }
    CHECK(from.bytes() == 0);
}

TEST_CASE("the short way and the long way give the same blocks") {
    counting_allocator from;
    {
        const current here(from.get());
        std::set<void*> seen;
        std::vector<void*> blocks;
        for (int i = 0; i < 5000; ++i) {
            void* p = i % 3 == 0 ? here.mine.allocate(200) : eddy::engine::allocate(200);
            REQUIRE(p != nullptr);
            CHECK(pool::is_live_block(p));
            CHECK(seen.insert(p).second);
            blocks.push_back(p);
        }
        CHECK(here.mine.live_blocks() == 5000);
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            if (i % 2 == 0)
                pool::deallocate(blocks[i], 200);
            else
                eddy::engine::deallocate(blocks[i], 200);
        }
        CHECK(here.mine.live_blocks() == 0);
        eddy::engine::deallocate(nullptr, 200);
        pool::deallocate(nullptr, 200);
    }
    CHECK(from.bytes() == 0);
}

TEST_CASE("an address inside a block, or that no pool gave out, is no live block") {
    counting_allocator from;
    const current here(from.get());
    auto* p = static_cast<char*>(eddy::engine::allocate(64));
    void* q = eddy::engine::allocate(64); // p is no longer the last
    CHECK(pool::is_live_block(p));
    CHECK(pool::is_live_block(q));
    CHECK_FALSE(pool::is_live_block(p + 16));
    int local = 0;
    CHECK_FALSE(pool::is_live_block(&local));
    eddy::engine::deallocate(p, 64);
    eddy::engine::deallocate(q, 64);
}

#if !EDDY_TEST_ASAN // there each block is a malloc of its own: what is said of slabs does not hold

TEST_CASE("live bytes are those of the size classes") {
    counting_allocator from;
    const current here(from.get());
    void* a = eddy::engine::allocate(1);
    void* b = eddy::engine::allocate(40);
    void* c = eddy::engine::allocate(5000);
    CHECK(here.mine.live_bytes() == 16 + 48 + 5000);
    eddy::engine::deallocate(a, 1);
    eddy::engine::deallocate(b, 40);
    eddy::engine::deallocate(c, 5000);
    CHECK(here.mine.live_bytes() == 0);
}

TEST_CASE("empty slabs go back, but for a few that are kept for any size") {
    counting_allocator from;
    const current here(from.get());
    const long before = from.bytes();
    std::vector<void*> blocks;
    for (int i = 0; i < 20'000; ++i)
        blocks.push_back(eddy::engine::allocate(256));
    const long full = from.bytes() - before;
    CHECK(full >= 20'000L * 256);
    CHECK(full <= 20'000L * 256 * 11 / 10);
    for (void* p : blocks)
        eddy::engine::deallocate(p, 256);
    CHECK(from.bytes() - before <= 17 * slab_bytes);
    // Another size uses what is kept.
    const long kept = from.bytes();
    blocks.clear();
    for (int i = 0; i < 500; ++i)
        blocks.push_back(eddy::engine::allocate(1024));
    CHECK(from.bytes() == kept);
    for (void* p : blocks)
        eddy::engine::deallocate(p, 1024);
}

TEST_CASE("a block that comes and goes at the edge of a slab does not take and return slabs") {
    counting_allocator from;
    const current here(from.get());
    std::vector<void*> blocks;
    while (from.bytes() < 2 * slab_bytes + static_cast<long>(sizeof(pool)))
        blocks.push_back(eddy::engine::allocate(512));
    const long now = from.bytes();
    for (int i = 0; i < 1000; ++i) {
        eddy::engine::deallocate(blocks.back(), 512);
        blocks.back() = eddy::engine::allocate(512);
    }
    CHECK(from.bytes() == now);
    for (void* p : blocks)
        eddy::engine::deallocate(p, 512);
}

TEST_CASE("a full slab is used again once a block of it is free") {
    counting_allocator from;
    const current here(from.get());
    std::vector<void*> blocks;
    for (int i = 0; i < 4000; ++i)
        blocks.push_back(eddy::engine::allocate(128));
    const long now = from.bytes();
    for (std::size_t i = 0; i < blocks.size(); i += 2)
        eddy::engine::deallocate(blocks[i], 128);
    for (std::size_t i = 0; i < blocks.size(); i += 2)
        blocks[i] = eddy::engine::allocate(128);
    CHECK(from.bytes() == now);
    for (void* p : blocks)
        eddy::engine::deallocate(p, 128);
}

TEST_CASE("two threads that hand blocks over for ever use little memory") {
    counting_allocator from;
    {
        const current here(from.get());
        hand_over blocks;
        constexpr int count = 200'000;
        std::thread frees([&blocks] {
            for (int i = 0; i < count; ++i)
                eddy::engine::deallocate(blocks.take(), 300);
        });
        int failed = 0;
        for (int i = 0; i < count; ++i) {
            void* p = eddy::engine::allocate(300);
            failed += p == nullptr;
            blocks.give(p);
        }
        frees.join();
        CHECK(failed == 0);
        CHECK(here.mine.live_blocks() == 0);
        CHECK(from.most() < 40 * slab_bytes); // 60 MB went through
    }
    CHECK(from.bytes() == 0);
}

#endif

TEST_CASE("blocks made on one thread and freed on another, of every size, come back to their owner") {
    counting_allocator from;
    {
        const current here(from.get());
        std::vector<std::pair<void*, std::size_t>> blocks;
        for (std::size_t i = 0; i < 3000; ++i) {
            const std::size_t size = 1 + i % 1500;
            blocks.emplace_back(eddy::engine::allocate(size), size);
        }
        CHECK(here.mine.live_blocks() == 3000);
        std::thread other([&blocks] {
            for (auto [p, size] : blocks)
                eddy::engine::deallocate(p, size);
        });
        other.join();
        CHECK(here.mine.live_blocks() == 0);
        CHECK(here.mine.live_bytes() == 0);
    }
    CHECK(from.bytes() == 0);
}

TEST_CASE("a pool that was released lives until its last block has come back, from whichever thread") {
    counting_allocator from;
    pool* p = pool::make(from.get());
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t i = 0; i < 100; ++i) {
        const std::size_t size = i % 5 == 0 ? 2000 : 100;
        blocks.emplace_back(p->allocate(size), size);
    }
    // Some come back before, on another thread; the owner has not looked at them when it lets go.
    std::thread early([&blocks] {
        for (std::size_t i = 0; i < 30; ++i)
            pool::deallocate(blocks[i].first, blocks[i].second);
    });
    early.join();
    p->release();
    CHECK(from.bytes() > 0);
    std::memset(blocks[99].first, 1, blocks[99].second);
    std::thread late([&blocks] {
        for (std::size_t i = 30; i < 60; ++i)
            pool::deallocate(blocks[i].first, blocks[i].second);
    });
    late.join();
    for (std::size_t i = 60; i < 99; ++i)
        pool::deallocate(blocks[i].first, blocks[i].second);
    CHECK(from.bytes() > 0);
    pool::deallocate(blocks[99].first, blocks[99].second);
    CHECK(from.bytes() == 0);
}

TEST_CASE("a pool without outstanding blocks goes when it is released") {
    counting_allocator from;
    pool* p = pool::make(from.get());
    pool::deallocate(p->allocate(10), 10);
    p->release();
    CHECK(from.bytes() == 0);
}

TEST_CASE("blocks come back from several threads while their owner lets go of the pool") {
    counting_allocator from;
    for (int round = 0; round < 200; ++round) {
        pool* p = pool::make(from.get());
        constexpr int threads = 3;
        std::vector<void*> blocks[threads];
        for (auto& mine : blocks)
            for (int i = 0; i < 20; ++i)
                mine.push_back(p->allocate(i % 4 == 0 ? 4000 : 64));
        std::atomic<bool> go{false};
        std::vector<std::thread> others;
        for (auto& mine : blocks)
            others.emplace_back([&go, &mine] {
                while (!go.load())
                    std::this_thread::yield();
                for (std::size_t i = 0; i < mine.size(); ++i)
                    pool::deallocate(mine[i], i % 4 == 0 ? 4000 : 64);
            });
        go = true;
        p->release();
        for (auto& t : others)
            t.join();
        REQUIRE(from.bytes() == 0);
    }
}

TEST_CASE("a fault makes an allocation fail, on both ways, and changes nothing") {
    counting_allocator from;
    const current here(from.get());
    eddy::engine::deallocate(eddy::engine::allocate(64), 64); // warm
    struct every_other {
        int n = 0;
        std::size_t last = 0;
    } count;
    here.mine.set_fault(
        [](void* user, std::size_t size) noexcept {
            auto& c = *static_cast<every_other*>(user);
            c.last = size;
            return ++c.n % 2 == 0;
        },
        &count);
    void* a = eddy::engine::allocate(64);
    CHECK(a != nullptr);
    CHECK(eddy::engine::allocate(64) == nullptr);
    CHECK(count.last == 64);
    void* b = here.mine.allocate(5000);
    CHECK(b != nullptr);
    CHECK(here.mine.allocate(5000) == nullptr);
    CHECK(count.n == 4);
    CHECK(here.mine.live_blocks() == 2);
    here.mine.set_fault(nullptr, nullptr);
    void* c = eddy::engine::allocate(64);
    CHECK(c != nullptr);
    CHECK(count.n == 4);
    eddy::engine::deallocate(a, 64);
    eddy::engine::deallocate(b, 5000);
    eddy::engine::deallocate(c, 64);
    CHECK(here.mine.live_blocks() == 0);
}

TEST_CASE("a system without memory: nullptr for pools, slabs and large blocks") {
    counting_allocator from;
    from.fail(true);
    CHECK(pool::make(from.get()) == nullptr);
    from.fail(false);
    {
        const current here(from.get());
        from.fail(true);
        CHECK(eddy::engine::allocate(64) == nullptr);
        CHECK(eddy::engine::allocate(64 * 1024) == nullptr);
        CHECK(eddy::engine::allocate(SIZE_MAX) == nullptr);
        CHECK(here.mine.live_blocks() == 0);
        from.fail(false);
        void* p = eddy::engine::allocate(64);
        CHECK(p != nullptr);
        eddy::engine::deallocate(p, 64);
    }
    CHECK(from.bytes() == 0);
}

TEST_CASE("each thread has a pool of its own, which its blocks outlive") {
    pool* const mine = eddy::engine::current_pool();
    CHECK(mine == eddy::engine::current_pool());
    pool* theirs = nullptr;
    void* block = nullptr;
    std::thread t([&] {
        theirs = eddy::engine::current_pool();
        block = eddy::engine::allocate(128);
    });
    t.join();
    CHECK(theirs != mine);
    std::memset(block, 7, 128);
    eddy::engine::deallocate(block, 128);
}

TEST_CASE("exchanging the current pool and back; both take their own blocks back at once") {
    counting_allocator from;
    pool* const own = eddy::engine::current_pool();
    const std::size_t blocks = own->live_blocks();
    void* a = eddy::engine::allocate(32);
    {
        const current here(from.get());
        CHECK(eddy::engine::current_pool() == &here.mine);
        void* b = eddy::engine::allocate(32);
        eddy::engine::deallocate(a, 32);
        eddy::engine::deallocate(b, 32);
        CHECK(here.mine.live_blocks() == 0);
    }
    CHECK(eddy::engine::current_pool() == own);
    CHECK(own->live_blocks() == blocks);
    // Null is the thread's default.
    pool* p = pool::make(from.get());
    eddy::engine::exchange_current_pool(p);
    CHECK(eddy::engine::exchange_current_pool(nullptr) == p);
    CHECK(eddy::engine::current_pool() == own);
    p->release();
    CHECK(from.bytes() == 0);
}

TEST_CASE("thread-local objects that die after the thread's pool may still allocate and free") {
    static std::atomic<int> allocated{0};
    struct late {
        void* early = nullptr;
        ~late() {
            eddy::engine::deallocate(early, 48);
            for (const std::size_t size : {std::size_t{48}, std::size_t{4000}}) {
                void* p = eddy::engine::allocate(size);
                if (p == nullptr) continue;
                std::memset(p, 1, size);
                eddy::engine::deallocate(p, size);
                ++allocated;
            }
        }
    };
    std::thread t([] {
        static thread_local late last; // made first, destroyed last
        last.early = eddy::engine::allocate(48);
    });
    t.join();
    CHECK(allocated == 2);
}
