// Replaces operator new for the whole program: fail_sweep reaches every allocation. In a file of its own: where both
// can be inlined, GCC takes new and free for a mismatch.
#include <eddy/testing/sweep.hpp>

#include <cstdlib>
#include <new>

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) {
    void* const p = eddy::testing::allocation_fails() ? nullptr : std::malloc(size == 0 ? 1 : size);
    if (p == nullptr) throw std::bad_alloc();
    return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
// NOLINTEND(misc-new-delete-overloads)
