// Replaces operator new for the whole program. In a file of its own: where both can be inlined, GCC takes new and free
// for a mismatch. The thread sanitizer brings an operator new of its own: there memory does not run out.
#include "sync/no_memory.hpp"

#include "support/sanitizers.hpp"

#include <cstdlib>
#include <new>

namespace {
[[maybe_unused]] bool exhausted = false;
}

namespace eddy_test {
no_memory::no_memory() noexcept { exhausted = true; }
no_memory::~no_memory() { exhausted = false; }
} // namespace eddy_test

#if !EDDY_TEST_TSAN
// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) {
    void* const p = exhausted ? nullptr : std::malloc(size == 0 ? 1 : size);
    if (p == nullptr) throw std::bad_alloc();
    return p;
}
// The library default of this one would do; that of AddressSanitizer does not match our delete.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return exhausted ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
// NOLINTEND(misc-new-delete-overloads)
#endif
