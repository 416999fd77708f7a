#include <eddy/engine/pool.hpp>

#include <cstdlib>
#include <new>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define EDDY_POOL_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EDDY_POOL_MALLOC 1
#endif
#endif
#ifndef EDDY_POOL_MALLOC
#define EDDY_POOL_MALLOC 0
#endif

namespace eddy::engine {

constinit thread_local thread_pools this_thread_pools EDDY_DETAIL_TLS = {};

namespace {

// In front of each block that has no slab: large ones, and all of them under AddressSanitizer.
struct alignas(16) block_header {
    pool* owner;
    std::size_t size;
};

#if EDDY_POOL_MALLOC
// What is_live_block() looks at where there are no slabs: parameters of a coroutine may allocate frames in between.
constexpr std::size_t recent_count = 8;
thread_local const void* recent[recent_count] = {};
thread_local std::size_t recent_at = 0;
#endif

struct thread_end {
    ~thread_end() {
        thread_pools& mine = this_thread_pools;
        pool* p = mine.own;
        if (mine.current == p) mine.current = mine.fast = nullptr;
        mine.own = nullptr;
        mine.ended = true;
        if (p != nullptr) p->release();
    }
};

constexpr std::size_t mapped_align = 64 * 1024; // a multiple of every page size, and that of slabs

void* system_alloc(void*, std::size_t size, std::size_t align) noexcept {
    if (align <= alignof(std::max_align_t)) return std::malloc(size);
    if (align < mapped_align) return std::aligned_alloc(align, (size + align - 1) / align * align);
    // A slab. Straight from the system: malloc would map twice the room, and touch pages before and behind it.
    const auto map = [](std::size_t n) noexcept {
        void* const p = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? nullptr : static_cast<char*>(p);
    };
    const auto beyond = [align](const char* p) noexcept { return reinterpret_cast<std::uintptr_t>(p) & (align - 1); };
    char* p = map(size);
    if (p == nullptr || beyond(p) == 0) return p; // one comes to lie beside the other, so this is the usual case
    munmap(p, size);
    p = map(size + align);
    if (p == nullptr) return nullptr;
    const std::size_t before = (align - beyond(p)) & (align - 1);
    if (before != 0) munmap(p, before);
    munmap(p + before + size, align - before);
    return p + before;
}

void system_free(void*, void* block, std::size_t size, std::size_t align) noexcept {
    if (align < mapped_align)
        std::free(block);
    else
        munmap(block, size);
}

block_header* header_of(void* block) noexcept { return static_cast<block_header*>(block) - 1; }

// With the header, and with room for the link of a foreign free.
std::size_t whole_size(std::size_t size) noexcept {
    return (size < sizeof(block_header) ? sizeof(block_header) : size) + sizeof(block_header);
}

} // namespace

allocator allocator::system() noexcept { return {nullptr, &system_alloc, &system_free}; }

pool::freed* pool::closed_mark() noexcept {
    static freed mark{nullptr, 0};
    return &mark;
}

pool* pool::make(const allocator& from) noexcept {
    void* where = from.alloc(from.user, sizeof(pool), alignof(pool));
    return where == nullptr ? nullptr : new (where) pool(from);
}

void pool::destroy() noexcept {
    while (slab* s = cached_) {
        cached_ = s->next;
        from_.free(from_.user, s, slab_size, slab_size);
    }
    while (slab* s = slabs_) {
        slabs_ = s->all_next;
        from_.free(from_.user, s, slab_size, slab_size);
    }
    const allocator from = from_;
    this->~pool();
    from.free(from.user, this, sizeof(pool), alignof(pool));
}

void pool::release() noexcept {
    freed* rest = foreign_.exchange(closed_mark(), std::memory_order_acq_rel);
    while (rest != nullptr) {
        freed* next = rest->next;
        free_local(rest, rest->size);
        rest = next;
    }
    // From here each foreign free counts one down; whoever reaches zero destroys the pool.
    std::size_t blocks = large_blocks_;
    for (const slab* s = slabs_; s != nullptr; s = s->all_next)
        blocks += s->used;
    const auto outstanding = static_cast<std::int64_t>(blocks);
    if (debt_.fetch_add(outstanding, std::memory_order_acq_rel) + outstanding == 0) destroy();
}

void pool::link(slab* s) noexcept {
    slab*& head = open_[s->block / granule];
    s->next = head;
    s->prev = nullptr;
    if (head != nullptr) head->prev = s;
    head = s;
    s->open = true;
}

void pool::unlink(slab* s) noexcept {
    if (s->prev != nullptr)
        s->prev->next = s->next;
    else
        open_[s->block / granule] = s->next;
    if (s->next != nullptr) s->next->prev = s->prev;
    s->open = false;
}

pool::slab* pool::new_slab(std::size_t size_class) noexcept {
    slab* s = cached_;
    if (s != nullptr) {
        cached_ = s->next;
        --cached_count_;
    } else {
        s = static_cast<slab*>(from_.alloc(from_.user, slab_size, slab_size));
        if (s == nullptr) return nullptr;
    }
    s->owner = this;
    s->free = nullptr;
    s->bump = sizeof(slab);
    s->used = 0;
    s->block = static_cast<std::uint32_t>(size_class * granule);
    s->all_prev = nullptr;
    s->all_next = slabs_;
    if (slabs_ != nullptr) slabs_->all_prev = s;
    slabs_ = s;
    link(s);
    return s;
}

void pool::retire(slab* s) noexcept {
    if (s->open) unlink(s);
    if (s->all_prev != nullptr)
        s->all_prev->all_next = s->all_next;
    else
        slabs_ = s->all_next;
    if (s->all_next != nullptr) s->all_next->all_prev = s->all_prev;
    if (cached_count_ < max_cached) {
        s->next = cached_;
        cached_ = s;
        ++cached_count_;
    } else {
        from_.free(from_.user, s, slab_size, slab_size);
    }
}

void* pool::allocate(std::size_t size) noexcept {
    if (fault_ != nullptr && fault_(fault_user_, size)) [[unlikely]]
        return nullptr;
    void* p;
    if (EDDY_POOL_MALLOC || size > max_small)
        p = allocate_large(size);
    else
        p = allocate_slow(size == 0 ? 1 : (size + granule - 1) / granule);
    this_thread_pools.last = p;
#if EDDY_POOL_MALLOC
    recent[recent_at++ % recent_count] = p;
#endif
    return p;
}

// Blocks come onto the free list a page's worth at a time, lowest address first: the inline path finds them there, and
// pages that nobody needs stay untouched.
void pool::carve(slab* s) noexcept {
    const auto left = static_cast<std::uint32_t>((slab_size - s->bump) / s->block);
    const std::uint32_t page = 2048 / s->block + 1;
    const std::uint32_t n = left < page ? left : page;
    char* first = reinterpret_cast<char*>(s) + s->bump;
    for (std::uint32_t i = n; i-- > 0;)
        s->free = ::new (first + std::size_t{i} * s->block) freed{s->free, 0};
    s->bump += n * s->block;
}

void* pool::allocate_slow(std::size_t size_class) noexcept {
    for (bool collected = false;; collected = true) {
        while (slab* s = open_[size_class]) {
            if (s->free != nullptr) {
                freed* f = s->free;
                s->free = f->next;
                ++s->used;
                return f;
            }
            if (s->bump + s->block <= slab_size) {
                carve(s);
                continue;
            }
            unlink(s);
        }
        if (collected || !collect()) break;
    }
    if (new_slab(size_class) == nullptr) return nullptr;
    return allocate_slow(size_class);
}

void* pool::allocate_large(std::size_t size) noexcept {
    const std::size_t whole = whole_size(size);
    if (whole < size) return nullptr;
    void* raw = from_.alloc(from_.user, whole, alignof(block_header));
    if (raw == nullptr) return nullptr;
    auto* h = new (raw) block_header{this, size};
    ++large_blocks_;
    large_bytes_ += size;
    return h + 1;
}

void pool::free_local(void* block, std::size_t size) noexcept {
    if (EDDY_POOL_MALLOC || size > max_small) {
        --large_blocks_;
        large_bytes_ -= size;
        from_.free(from_.user, header_of(block), whole_size(size), alignof(block_header));
        return;
    }
    slab* s = slab::of(block);
    auto* f = static_cast<freed*>(block);
    f->next = s->free;
    s->free = f;
    if (--s->used == 0 && (s->next != nullptr || s->prev != nullptr || !s->open)) [[unlikely]] {
        // Empty, and its class has another slab (or it was full a moment ago): give it back.
        retire(s);
        return;
    }
    if (!s->open) [[unlikely]]
        link(s);
}

void pool::free_foreign(void* block, std::size_t size) noexcept {
    auto* f = new (block) freed{nullptr, size};
    freed* head = foreign_.load(std::memory_order_acquire);
    for (;;) {
        if (head == closed_mark()) {
            if (EDDY_POOL_MALLOC || size > max_small)
                from_.free(from_.user, header_of(block), whole_size(size), alignof(block_header));
            if (debt_.fetch_sub(1, std::memory_order_acq_rel) - 1 == 0) destroy();
            return;
        }
        f->next = head;
        if (foreign_.compare_exchange_weak(head, f, std::memory_order_release, std::memory_order_acquire)) return;
    }
}

void pool::deallocate(void* block, std::size_t size) noexcept {
    if (block == nullptr) return;
    pool* owner = (EDDY_POOL_MALLOC || size > max_small) ? header_of(block)->owner : slab::of(block)->owner;
    if (owner == this_thread_pools.current || owner == this_thread_pools.own)
        owner->free_local(block, size);
    else
        owner->free_foreign(block, size);
}

bool pool::collect() noexcept {
    freed* f = foreign_.exchange(nullptr, std::memory_order_acquire);
    const bool any = f != nullptr;
    while (f != nullptr) {
        freed* next = f->next;
        free_local(f, f->size);
        f = next;
    }
    return any;
}

std::size_t pool::live_blocks() noexcept {
    collect();
    std::size_t n = large_blocks_;
    for (const slab* s = slabs_; s != nullptr; s = s->all_next)
        n += s->used;
    return n;
}

std::size_t pool::live_bytes() noexcept {
    collect();
    std::size_t n = large_bytes_;
    for (const slab* s = slabs_; s != nullptr; s = s->all_next)
        n += std::size_t{s->used} * s->block;
    return n;
}

bool pool::is_live_block_slow(const void* p) noexcept {
#if EDDY_POOL_MALLOC
    for (const void* q : recent)
        if (q == p) return true;
#else
    for (const pool* owner : {this_thread_pools.current, this_thread_pools.own}) {
        if (owner == nullptr) continue;
        for (const slab* s = owner->slabs_; s != nullptr; s = s->all_next)
            if (s == slab::of(p))
                return (reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(s) - sizeof(slab)) %
                           s->block ==
                       0;
    }
#endif
    return false;
}

void pool::set_fault(fault_function f, void* user) noexcept {
    fault_ = f;
    fault_user_ = user;
    if (this_thread_pools.current == this) make_current();
}

void pool::make_current() noexcept {
    this_thread_pools.current = this;
    // Faults are asked for each allocation, so none may take the fast path.
    this_thread_pools.fast = EDDY_POOL_MALLOC || fault_ != nullptr ? nullptr : this;
}

pool* current_pool() noexcept {
    thread_pools& mine = this_thread_pools;
    if (mine.current != nullptr) [[likely]]
        return mine.current;
    if (mine.ended) return nullptr;
    static thread_local thread_end at_end;
    static_cast<void>(at_end);
    mine.own = pool::make(allocator::system());
    if (mine.own != nullptr) mine.own->make_current();
    return mine.own;
}

pool* exchange_current_pool(pool* p) noexcept {
    thread_pools& mine = this_thread_pools;
    pool* before = mine.current;
    if (p == nullptr) p = mine.own;
    if (p != nullptr)
        p->make_current();
    else
        mine.current = mine.fast = nullptr;
    return before;
}

void* allocate_slow(std::size_t size) noexcept {
    if (pool* p = current_pool(); p != nullptr) [[likely]]
        return p->allocate(size);
    // This thread's locals are gone already: a pool for this one block, which takes it along.
    pool* p = pool::make(allocator::system());
    if (p == nullptr) return nullptr;
    void* block = p->allocate(size);
    p->release();
    return block;
}

} // namespace eddy::engine
