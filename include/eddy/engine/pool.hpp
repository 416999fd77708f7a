// Memory of coroutine frames and task records.
//
// Blocks come from 64 KiB slabs, aligned to their size, one size class a slab. The slab's header names the pool that
// owns it, so a block may be freed on any thread: a foreign free goes onto the owner's atomic list, which the owner
// empties when its own free list runs dry. A pool whose owner is gone lives on until its last block has come back.
// (mimalloc, Leijen et al. 2019, uses the same two lists; plain thread-local lists leak when one thread makes and
// another frees.) Under AddressSanitizer every block is a malloc of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace eddy::engine {

// Where slabs and large blocks come from. Both functions may be called from any thread.
struct allocator {
    void* user = nullptr;
    void* (*alloc)(void* user, std::size_t size, std::size_t align) noexcept = nullptr;
    void (*free)(void* user, void* block, std::size_t size, std::size_t align) noexcept = nullptr;

    static allocator system() noexcept;
};

#if defined(__GLIBC__) || defined(__GLIBCXX__)
// Frames are made and freed millions of times a second: without this the PIC archive would call __tls_get_addr.
#define EDDY_DETAIL_TLS __attribute__((tls_model("initial-exec")))
#else
#define EDDY_DETAIL_TLS
#endif

class pool;

// What this thread allocates from.
struct thread_pools {
    pool* fast = nullptr;       // `current` when its fast path may be used
    const void* last = nullptr; // the block handed out last
    pool* current = nullptr;
    pool* own = nullptr; // the thread's default
    bool ended = false;
};
extern constinit thread_local thread_pools this_thread_pools EDDY_DETAIL_TLS;

class pool {
public:
    // nullptr when out of memory.
    static pool* make(const allocator& from) noexcept;

    // The owner will allocate no more. Outstanding blocks stay valid; the last one takes the pool with it.
    void release() noexcept;

    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;

    // nullptr when out of memory. Owner only. 16-byte aligned.
    [[nodiscard]] void* allocate(std::size_t size) noexcept;

    // Any thread; `size` is what allocate() was asked for.
    static void deallocate(void* block, std::size_t size) noexcept;

    // The two above where it takes a handful of instructions; nullptr, false: take the long way.
    [[nodiscard]] static void* allocate_fast(std::size_t size) noexcept;
    [[nodiscard]] static bool deallocate_fast(void* block, std::size_t size) noexcept;

    // Owner only. Blocks and bytes that have not come back; foreign frees are collected first.
    [[nodiscard]] std::size_t live_blocks() noexcept;
    [[nodiscard]] std::size_t live_bytes() noexcept;

    // Asked before each allocation; true makes it fail. For tests.
    using fault_function = bool (*)(void* user, std::size_t size) noexcept;
    void set_fault(fault_function f, void* user) noexcept;

    // Is `p` the start of a block that this thread's pool handed out and that is still in use?
    static bool is_live_block(const void* p) noexcept { return this_thread_pools.last == p || is_live_block_slow(p); }

private:
    friend pool* exchange_current_pool(pool* p) noexcept;
    friend pool* current_pool() noexcept;
    struct freed {
        freed* next;
        std::size_t size;
    };
    struct alignas(64) slab {
        pool* owner;
        freed* free;
        std::uint32_t used;
        std::uint32_t bump;
        std::uint32_t block;
        bool open; // in its class's list: has room
        slab* next;
        slab* prev;
        slab* all_next;
        slab* all_prev;

        static slab* of(const void* p) noexcept {
            return reinterpret_cast<slab*>(reinterpret_cast<std::uintptr_t>(p) & ~(slab_size - 1));
        }
    };
    static constexpr std::size_t granule = 16;
    static constexpr std::size_t max_small = 1024;
    static constexpr std::size_t classes = max_small / granule + 1;
    static constexpr std::size_t slab_size = 64 * 1024;
    static constexpr std::size_t max_cached = 16;

    explicit pool(const allocator& from) noexcept : from_(from) {}
    ~pool() = default;

    void* allocate_slow(std::size_t size_class) noexcept;
    void* allocate_large(std::size_t size) noexcept;
    slab* new_slab(std::size_t size_class) noexcept;
    static void carve(slab* s) noexcept;
    void free_local(void* block, std::size_t size) noexcept;
    void free_foreign(void* block, std::size_t size) noexcept;
    bool collect() noexcept;
    void retire(slab* s) noexcept;
    void link(slab* s) noexcept;
    void unlink(slab* s) noexcept;
    void destroy() noexcept;
    static freed* closed_mark() noexcept;
    static bool is_live_block_slow(const void* p) noexcept;
    void make_current() noexcept;

    allocator from_;
    slab* open_[classes] = {};
    slab* cached_ = nullptr;
    std::size_t cached_count_ = 0;
    std::size_t large_blocks_ = 0; // and bytes: of blocks without a slab
    std::size_t large_bytes_ = 0;
    fault_function fault_ = nullptr;
    void* fault_user_ = nullptr;
    slab* slabs_ = nullptr;
    std::atomic<freed*> foreign_{nullptr};
    std::atomic<std::int64_t> debt_{0};
};

// The pool of this thread: its running loop's, else a default of the thread. nullptr when out of memory.
pool* current_pool() noexcept;

// Makes `p` this thread's pool and returns what was there (nullptr: the thread's default).
pool* exchange_current_pool(pool* p) noexcept;

// The one function every engine, frame and record allocation goes through. nullptr when out of memory.
[[nodiscard]] void* allocate_slow(std::size_t size) noexcept;

inline void* pool::allocate_fast(std::size_t size) noexcept {
    pool* p = this_thread_pools.fast;
    if (p == nullptr || size > max_small) [[unlikely]]
        return nullptr;
    slab* s = p->open_[(size + granule - 1) / granule];
    if (s == nullptr || s->free == nullptr) [[unlikely]]
        return nullptr;
    freed* f = s->free;
    s->free = f->next;
    ++s->used;
    this_thread_pools.last = f;
    return f;
}

inline bool pool::deallocate_fast(void* block, std::size_t size) noexcept {
    pool* p = this_thread_pools.fast;
    if (p == nullptr || size > max_small) [[unlikely]]
        return false;
    slab* s = slab::of(block);
    if (s->owner != p || !s->open || (s->used == 1 && (s->next != nullptr || s->prev != nullptr))) [[unlikely]]
        return false;
    auto* f = static_cast<freed*>(block);
    f->next = s->free;
    s->free = f;
    --s->used;
    return true;
}

[[nodiscard]] inline void* allocate(std::size_t size) noexcept {
    if (void* p = pool::allocate_fast(size); p != nullptr) [[likely]]
        return p;
    return allocate_slow(size);
}
inline void deallocate(void* block, std::size_t size) noexcept {
    if (block == nullptr) return;
    if (!pool::deallocate_fast(block, size)) [[unlikely]]
        pool::deallocate(block, size);
}

} // namespace eddy::engine
