// eddy_pool: threads of the program's own. Belongs to no loop; each call keeps it. Private.
#pragma once

#include "object.hpp"

#include "offload/worker_pool.hpp"

#include <memory>

struct eddy_pool final : eddy::capi::object {
    explicit eddy_pool(const eddy_pool_opts& o);
    ~eddy_pool();

    void* const user;
    const eddy_free_fn drop;
    std::shared_ptr<eddy::detail::worker_pool> threads;

private:
    void last_released() noexcept override; // any thread
};

namespace eddy::capi {

// A reference that may be none.
class pool_ref {
public:
    explicit pool_ref(eddy_pool* p) noexcept : pool_(p) {
        if (p != nullptr) p->retain();
    }
    pool_ref(pool_ref&& o) noexcept : pool_(std::exchange(o.pool_, nullptr)) {}
    pool_ref& operator=(pool_ref&&) = delete;
    ~pool_ref() {
        if (pool_ != nullptr) pool_->release();
    }

private:
    eddy_pool* pool_;
};

} // namespace eddy::capi
