"""Made from capi/eddy.h by capi/tools/describe_api: not to be edited."""

from ctypes import CFUNCTYPE, POINTER, Structure
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_uint32, c_uint64, c_void_p

EDDY_VERSION_MAJOR = 0
EDDY_VERSION_MINOR = 1
EDDY_VERSION_PATCH = 0
EDDY_VERSION_HEX = 256
EDDY_ABI = 0
EDDY_OK = 0
EDDY_PENDING = 1
EDDY_ENOMEM = -10001
EDDY_EINVAL = -10002
EDDY_ECANCELED = -10003
EDDY_ETIMEDOUT = -10004
EDDY_ECLOSED = -10005
EDDY_EAGAIN = -10006
EDDY_EBUSY = -10007
EDDY_ESTATE = -10008
EDDY_ENOTSUP = -10009
EDDY_ETOOBIG = -10010
EDDY_EABI = -10011
EDDY_EFORKED = -10012
EDDY_EBROKEN = -10013
EDDY_EEXCEPTION = -10014
EDDY_EDEADLK = -10015
EDDY_EUSER = -20000
EDDY_FOREVER = 18446744073709551615
EDDY_LOOP_FD_ONLY = 1
EDDY_LOOP_ABORT_MISUSE = 4
EDDY_LOOP_ABORT_UNHANDLED = 8
EDDY_RUN_DEFAULT = 0
EDDY_RUN_ONCE = 1
EDDY_RUN_NOWAIT = 2
EDDY_READABLE = 1
EDDY_WRITABLE = 2
EDDY_HANGUP = 4
EDDY_PRIORITY = 8
EDDY_STEP_DONE = 0
EDDY_STEP_WAIT = 1
EDDY_STEP_YIELD = 2
EDDY_STEP_PARK = 3
EDDY_STEP_READY = 4
EDDY_GATHER_KEEP_GOING = 1
EDDY_QUEUE_FIFO = 0
EDDY_QUEUE_LIFO = 1
EDDY_QUEUE_PRIORITY = 2
EDDY_SYNC_LOCKED = 1
EDDY_SYNC_CLOSED = 2
EDDY_SYNC_BROKEN = 4
EDDY_SYNC_SET = 8
EDDY_WORK_ABANDON = 1
EDDY_LOG_OFF = 0
EDDY_LOG_MISUSE = 1
EDDY_LOG_ERROR = 2
EDDY_LOG_WARN = 3
EDDY_LOG_INFO = 4
EDDY_LOG_DEBUG = 5
EDDY_KIND_TASK = 1
EDDY_KIND_TIMER = 2
EDDY_KIND_SYNC = 3
EDDY_KIND_WORK = 4
EDDY_KIND_COMBINED = 5
EDDY_KIND_PROMISE = 6
EDDY_KIND_IO = 7


class eddy_allocator(Structure):
    pass


class eddy_loop_opts(Structure):
    pass


class eddy_queue_opts(Structure):
    pass


class eddy_sync_stats(Structure):
    pass


class eddy_pool_opts(Structure):
    pass


class eddy_pool_stats(Structure):
    pass


class eddy_log_record(Structure):
    pass


class eddy_op_info(Structure):
    pass


class eddy_loop_stats(Structure):
    pass


eddy_free_fn = CFUNCTYPE(None, c_void_p)
eddy_call_fn = CFUNCTYPE(None, c_void_p)
eddy_done_fn = CFUNCTYPE(None, c_void_p, c_void_p)
eddy_step_fn = CFUNCTYPE(c_int, c_void_p, c_void_p)
eddy_compare_fn = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
eddy_work_fn = CFUNCTYPE(c_int, c_void_p, c_void_p)
eddy_log_fn = CFUNCTYPE(None, POINTER(eddy_log_record), c_void_p)
eddy_line_fn = CFUNCTYPE(None, c_char_p, c_void_p)

eddy_allocator._fields_ = [
    ("size", c_uint32),
    ("flags", c_uint32),
    ("user", c_void_p),
    ("alloc", CFUNCTYPE(c_void_p, c_void_p, c_size_t, c_size_t)),
    ("free", CFUNCTYPE(None, c_void_p, c_void_p, c_size_t, c_size_t)),
]

eddy_loop_opts._fields_ = [
    ("size", c_uint32),
    ("flags", c_uint32),
    ("allocator", POINTER(eddy_allocator)),
    ("name", c_char_p),
    ("uv_loop", c_void_p),
    ("uv_probe", CFUNCTYPE(None)),
    ("uv_version", c_uint32),
    ("uv_loop_size", c_uint32),
]

eddy_queue_opts._fields_ = [
    ("size", c_uint32),
    ("order", c_uint32),
    ("capacity", c_uint64),
    ("item_free", eddy_free_fn),
    ("compare", eddy_compare_fn),
    ("user", c_void_p),
    ("drop", eddy_free_fn),
]

eddy_sync_stats._fields_ = [
    ("size", c_uint32),
    ("flags", c_uint32),
    ("count", c_uint64),
    ("limit", c_uint64),
    ("waiting", c_uint64),
    ("waiting_writers", c_uint64),
    ("waiting_joins", c_uint64),
    ("unfinished", c_uint64),
]

eddy_pool_opts._fields_ = [
    ("size", c_uint32),
    ("flags", c_uint32),
    ("threads", c_uint32),
    ("queue_limit", c_uint32),
    ("stack_size", c_uint64),
    ("name", c_char_p),
    ("thread_start", CFUNCTYPE(None, c_void_p)),
    ("thread_stop", CFUNCTYPE(None, c_void_p)),
    ("user", c_void_p),
    ("drop", eddy_free_fn),
    ("idle_timeout", c_uint64),
]

eddy_pool_stats._fields_ = [
    ("size", c_uint32),
    ("flags", c_uint32),
    ("threads", c_uint64),
    ("busy", c_uint64),
    ("abandoned", c_uint64),
    ("queued", c_uint64),
    ("waiting", c_uint64),
]

eddy_log_record._fields_ = [
    ("size", c_uint32),
    ("level", c_int32),
    ("message", c_char_p),
    ("loop_name", c_char_p),
    ("op_id", c_uint64),
]

eddy_op_info._fields_ = [
    ("size", c_uint32),
    ("kind", c_uint32),
    ("status", c_int32),
    ("flags", c_uint32),
    ("id", c_uint64),
    ("created", c_uint64),
    ("deadline", c_uint64),
    ("steps", c_uint64),
    ("name", c_char_p),
    ("waiting_for", c_char_p),
    ("waiting_id", c_uint64),
]

eddy_loop_stats._fields_ = [
    ("size", c_uint32),
    ("flags", c_uint32),
    ("tasks", c_uint64),
    ("ops", c_uint64),
    ("ready", c_uint64),
    ("timers", c_uint64),
    ("offloaded", c_uint64),
    ("steps", c_uint64),
    ("callbacks", c_uint64),
    ("iterations", c_uint64),
    ("bytes", c_uint64),
]

FUNCTIONS = (
    ("eddy_version", c_uint32),
    ("eddy_abi", c_uint32),
    ("eddy_version_string", c_char_p),
    ("eddy_has", c_int, c_char_p),
    ("eddy_strerror", c_char_p, c_int),
    ("eddy_errname", c_char_p, c_int),
    ("eddy_ref", c_void_p, c_void_p),
    ("eddy_unref", None, c_void_p),
    ("eddy_init_struct", None, c_void_p, c_size_t),
    ("eddy_loop_new", c_int, POINTER(eddy_loop_opts), POINTER(c_void_p)),
    ("eddy_loop_run", c_int, c_void_p, c_int),
    ("eddy_loop_run_until", c_int, c_void_p, c_void_p, c_uint64),
    ("eddy_loop_stop", None, c_void_p),
    ("eddy_loop_shutdown", c_void_p, c_void_p),
    ("eddy_loop_close", c_int, c_void_p, c_uint64),
    ("eddy_loop_abandon", None, c_void_p),
    ("eddy_loop_hold", None, c_void_p),
    ("eddy_loop_release", None, c_void_p),
    ("eddy_loop_now", c_uint64, c_void_p),
    ("eddy_loop_alive", c_int, c_void_p),
    ("eddy_loop_fd", c_int, c_void_p),
    ("eddy_loop_timeout", c_uint64, c_void_p),
    ("eddy_loop_on_wake", c_int, c_void_p, eddy_call_fn, c_void_p, eddy_free_fn),
    ("eddy_call_soon", c_int, c_void_p, eddy_call_fn, c_void_p, eddy_free_fn),
    ("eddy_call_soon_threadsafe", c_int, c_void_p, eddy_call_fn, c_void_p, eddy_free_fn),
    ("eddy_op_status", c_int, c_void_p),
    ("eddy_op_message", c_char_p, c_void_p),
    ("eddy_op_value", c_void_p, c_void_p),
    ("eddy_op_take", c_void_p, c_void_p),
    ("eddy_op_number", c_int64, c_void_p),
    ("eddy_op_loop", c_void_p, c_void_p),
    ("eddy_op_cancel", None, c_void_p),
    ("eddy_op_timeout", c_void_p, c_void_p, c_uint64),
    ("eddy_op_then", c_int, c_void_p, eddy_done_fn, c_void_p, eddy_free_fn),
    ("eddy_op_join", c_void_p, c_void_p),
    ("eddy_op_shield", c_void_p, c_void_p),
    ("eddy_promise", c_void_p, c_void_p, eddy_done_fn, c_void_p, eddy_free_fn),
    ("eddy_promise_resolve", c_int, c_void_p, c_void_p, eddy_free_fn, c_int64),
    ("eddy_promise_reject", c_int, c_void_p, c_int, c_char_p, c_void_p, eddy_free_fn),
    ("eddy_sleep", c_void_p, c_void_p, c_uint64),
    ("eddy_sleep_until", c_void_p, c_void_p, c_uint64),
    ("eddy_fd_wait", c_void_p, c_void_p, c_ssize_t, c_uint32),
    ("eddy_spawn", c_void_p, c_void_p, eddy_step_fn, c_void_p, eddy_free_fn),
    ("eddy_spawn_copy", c_void_p, c_void_p, eddy_step_fn, c_void_p, c_size_t),
    ("eddy_await", c_int, c_void_p, c_void_p, c_uint32),
    ("eddy_task_point", c_uint32, c_void_p),
    ("eddy_task_set_point", None, c_void_p, c_uint32),
    ("eddy_task_awaited", c_void_p, c_void_p),
    ("eddy_task_status", c_int, c_void_p),
    ("eddy_task_take", c_void_p, c_void_p),
    ("eddy_task_number", c_int64, c_void_p),
    ("eddy_return", c_int, c_void_p, c_void_p, eddy_free_fn),
    ("eddy_return_number", c_int, c_void_p, c_int64),
    ("eddy_fail", c_int, c_void_p, c_int, c_char_p),
    ("eddy_fail_with", c_int, c_void_p, c_int, c_char_p, c_void_p, eddy_free_fn),
    ("eddy_propagate", c_int, c_void_p),
    ("eddy_task_cancelled", c_int, c_void_p),
    ("eddy_task_uncancel", None, c_void_p),
    ("eddy_task_op", c_void_p, c_void_p),
    ("eddy_task_loop", c_void_p, c_void_p),
    ("eddy_task_current", c_void_p, c_void_p),
    ("eddy_task_waker", c_void_p, c_void_p),
    ("eddy_waker_wake", None, c_void_p),
    ("eddy_gather", c_void_p, c_void_p, POINTER(c_void_p), c_size_t, c_uint32),
    ("eddy_race", c_void_p, c_void_p, POINTER(c_void_p), c_size_t),
    ("eddy_op_child_count", c_size_t, c_void_p),
    ("eddy_op_child", c_void_p, c_void_p, c_size_t),
    ("eddy_group_new", c_int, c_void_p, c_uint32, POINTER(c_void_p)),
    ("eddy_group_add", c_int, c_void_p, c_void_p),
    ("eddy_group_cancel", None, c_void_p),
    ("eddy_group_wait", c_void_p, c_void_p),
    ("eddy_group_size", c_size_t, c_void_p),
    ("eddy_queue_new", c_int, c_void_p, c_size_t, eddy_free_fn, POINTER(c_void_p)),
    ("eddy_queue_put", c_void_p, c_void_p, c_void_p),
    ("eddy_queue_get", c_void_p, c_void_p),
    ("eddy_queue_try_put", c_int, c_void_p, c_void_p),
    ("eddy_queue_try_get", c_int, c_void_p, POINTER(c_void_p)),
    ("eddy_queue_put_threadsafe", c_int, c_void_p, c_void_p),
    ("eddy_queue_close", None, c_void_p),
    ("eddy_queue_size", c_size_t, c_void_p),
    ("eddy_queue_done", c_int, c_void_p),
    ("eddy_queue_join", c_void_p, c_void_p),
    ("eddy_queue_new_opts", c_int, c_void_p, POINTER(eddy_queue_opts), POINTER(c_void_p)),
    ("eddy_mutex_new", c_int, c_void_p, POINTER(c_void_p)),
    ("eddy_mutex_lock", c_void_p, c_void_p),
    ("eddy_mutex_try_lock", c_int, c_void_p),
    ("eddy_mutex_unlock", c_int, c_void_p),
    ("eddy_sem_new", c_int, c_void_p, c_uint64, POINTER(c_void_p)),
    ("eddy_sem_acquire", c_void_p, c_void_p, c_uint64),
    ("eddy_sem_try_acquire", c_int, c_void_p, c_uint64),
    ("eddy_sem_release", c_int, c_void_p, c_uint64),
    ("eddy_sem_resize", c_int, c_void_p, c_uint64),
    ("eddy_event_new", c_int, c_void_p, POINTER(c_void_p)),
    ("eddy_event_wait", c_void_p, c_void_p),
    ("eddy_event_set", None, c_void_p),
    ("eddy_event_clear", None, c_void_p),
    ("eddy_event_is_set", c_int, c_void_p),
    ("eddy_cond_new", c_int, c_void_p, POINTER(c_void_p)),
    ("eddy_cond_wait", c_void_p, c_void_p),
    ("eddy_cond_notify", c_int, c_void_p, c_size_t),
    ("eddy_barrier_new", c_int, c_void_p, c_size_t, POINTER(c_void_p)),
    ("eddy_barrier_wait", c_void_p, c_void_p),
    ("eddy_barrier_reset", None, c_void_p),
    ("eddy_barrier_abort", None, c_void_p),
    ("eddy_latch_new", c_int, c_void_p, c_uint64, POINTER(c_void_p)),
    ("eddy_latch_wait", c_void_p, c_void_p),
    ("eddy_latch_count_down", c_int, c_void_p, c_uint64),
    ("eddy_latch_count", c_uint64, c_void_p),
    ("eddy_shared_mutex_new", c_int, c_void_p, POINTER(c_void_p)),
    ("eddy_shared_mutex_lock", c_void_p, c_void_p),
    ("eddy_shared_mutex_try_lock", c_int, c_void_p),
    ("eddy_shared_mutex_unlock", c_int, c_void_p),
    ("eddy_shared_mutex_lock_shared", c_void_p, c_void_p),
    ("eddy_shared_mutex_try_lock_shared", c_int, c_void_p),
    ("eddy_shared_mutex_unlock_shared", c_int, c_void_p),
    ("eddy_sync_get_stats", c_int, c_void_p, POINTER(eddy_sync_stats)),
    ("eddy_pool_new", c_int, POINTER(eddy_pool_opts), POINTER(c_void_p)),
    ("eddy_pool_get_stats", c_int, c_void_p, POINTER(eddy_pool_stats)),
    ("eddy_offload", c_void_p, c_void_p, c_void_p, eddy_work_fn, c_void_p, eddy_free_fn, c_uint32),
    ("eddy_work_cancelled", c_int, c_void_p),
    ("eddy_work_set", None, c_void_p, c_void_p, eddy_free_fn, c_int64),
    ("eddy_work_set_message", None, c_void_p, c_char_p),
    ("eddy_set_log", c_int, c_int, eddy_log_fn, c_void_p, eddy_free_fn),
    ("eddy_loop_on_unhandled", c_int, c_void_p, eddy_done_fn, c_void_p, eddy_free_fn),
    ("eddy_op_set_name", c_int, c_void_p, c_char_p),
    ("eddy_op_name", c_char_p, c_void_p),
    ("eddy_op_get_info", c_int, c_void_p, POINTER(eddy_op_info)),
    ("eddy_loop_tasks", c_size_t, c_void_p, POINTER(c_void_p), c_size_t),
    ("eddy_loop_get_stats", c_int, c_void_p, POINTER(eddy_loop_stats)),
    ("eddy_loop_dump", c_int, c_void_p, eddy_line_fn, c_void_p),
)


def declare(library):
    """What each function takes and gives; ctypes would guess int. One that an older library lacks fails when used."""
    for name, result, *arguments in FUNCTIONS:
        if function := getattr(library, name, None):
            function.restype, function.argtypes = result, arguments
    return library
