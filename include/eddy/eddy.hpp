// All of eddy, but for eddy/io/await_uv.hpp, the one header that needs uv.h.
#pragma once

#include <eddy/bulk/for_each.hpp>
#include <eddy/bulk/rate_limiter.hpp>
#include <eddy/bulk/retry.hpp>
#if __has_include(<eddy.h>) // built with the C interface
#endif
#include <eddy/core/clock.hpp>
#include <eddy/core/error.hpp>
#include <eddy/core/error_context.hpp>
#include <eddy/core/log.hpp>
#include <eddy/core/loop.hpp>
#include <eddy/core/operation.hpp>
#include <eddy/core/outcome.hpp>
#include <eddy/core/promise.hpp>
#include <eddy/core/record.hpp>
#include <eddy/core/remote.hpp>
#include <eddy/core/run.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/stop_token.hpp>
#include <eddy/core/task.hpp>
#include <eddy/core/task_handle.hpp>
#include <eddy/core/task_local.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/as_completed.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/completions.hpp>
#include <eddy/flow/exception_group.hpp>
#include <eddy/flow/finally.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/generator.hpp>
#include <eddy/flow/interval.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/task_set.hpp>
#include <eddy/flow/task_status.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/wait.hpp>
#include <eddy/flow/with.hpp>
#include <eddy/io/pipe.hpp>
#include <eddy/io/process.hpp>
#include <eddy/io/process_pool.hpp>
#include <eddy/io/serialize.hpp>
#include <eddy/io/signal.hpp>
#include <eddy/offload/from_thread.hpp>
#include <eddy/offload/loop_thread.hpp>
#include <eddy/offload/offload.hpp>
#include <eddy/offload/thread_pool.hpp>
#include <eddy/sync/barrier.hpp>
#include <eddy/sync/broadcast.hpp>
#include <eddy/sync/channel.hpp>
#include <eddy/sync/condition.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/sync/latch.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/once_value.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/semaphore.hpp>
#include <eddy/sync/shared_mutex.hpp>
#include <eddy/sync/watch.hpp>
#include <eddy/testing/sweep.hpp>
#include <eddy/testing/virtual_loop.hpp>

#if __has_include(<eddy.h>) // the C interface may have been left out
#include <eddy/capi/bridge.hpp>
#endif
