// What blocks with open handles share: they go when nobody refers to them and libuv has let go of all their handles.
#pragma once

#include <eddy/core/lent_block.hpp>
#include <eddy/core/loop.hpp>

#include "core/state.hpp"

#include <uv.h>

namespace eddy::detail {

class uv_block : public lent_block {
public:
    void retain() noexcept { ++references_; }
    void release() noexcept {
        --references_;
        collect();
    }
    // The loop that the block belongs to; null once that has gone.
    [[nodiscard]] engine::loop_core* core() const noexcept { return core_; }

    static void* operator new(std::size_t size) noexcept { return engine::allocate(size); }
    static void operator delete(void* p, std::size_t size) noexcept { engine::deallocate(p, size); }

protected:
    uv_block(loop& l, uv_loop_t* uv) noexcept : core_(&l.detail_state()), uv_(uv) { lend(l); }
    virtual ~uv_block() = default;

    // To be called after uv_xxx_init: the handle counts, and keeps no loop alive.
    template <class Handle>
    void opened(Handle& h) noexcept {
        auto* const b = reinterpret_cast<uv_handle_t*>(&h);
        b->data = this;
        ++handles_;
        uv_unref(b);
    }
    template <class Handle>
    void close(Handle& h) noexcept {
        uv_close(reinterpret_cast<uv_handle_t*>(&h), [](uv_handle_t* b) {
            auto* const self = static_cast<uv_block*>(b->data);
            --self->handles_;
            self->collect();
        });
    }
    template <class Block, class Handle>
    static Block& of(Handle* h) noexcept {
        return static_cast<Block&>(*static_cast<uv_block*>(h->data));
    }
    void forget_loop() noexcept { core_ = nullptr; }
    // Valid while a handle is open.
    [[nodiscard]] uv_loop_t* uv() const noexcept { return uv_; }

private:
    void collect() noexcept {
        if (handles_ != 0) return;
        give_back();
        if (references_ == 0) delete this;
    }
    engine::loop_core* core_;
    uv_loop_t* uv_;
    unsigned references_ = 0;
    unsigned handles_ = 0;
};

} // namespace eddy::detail
