/* eddy on Node's own loop: ops as promises. eddy.js makes it pleasant; README.md says how it works.
 *
 * Every function that waits returns { promise, op }; cancel(op) asks the op to end early.
 */
#define NAPI_VERSION 8
#include <eddy_uv.h> /* with Node's uv.h, see README.md */
#include <node_api.h>

#include <stdint.h>
#include <stdlib.h>

enum kind { NOTHING, ITEM, NUMBER }; /* what the promise is resolved with */

/* One for each environment: the main thread, and each worker. */
struct instance {
    napi_env env;
    uv_loop_t* uv;
    eddy_loop* loop;
    napi_async_context context;
    struct pending* pending;
    napi_async_cleanup_hook_handle hook;
    uv_timer_t timer; /* at the end */
};

/* A promise that is not settled. */
struct pending {
    struct instance* instance;
    eddy_op* op;
    napi_deferred deferred;
    enum kind kind;
    struct pending *next, **link;
};

static struct instance* instance_of(napi_env env) {
    void* data = NULL;
    napi_get_instance_data(env, &data);
    return data;
}

/* ---- from ops to promises */

static napi_value error_of(napi_env env, int status, const char* message) {
    napi_value code, text, error;
    napi_create_string_utf8(env, eddy_errname(status), NAPI_AUTO_LENGTH, &code);
    napi_create_string_utf8(env, *message != 0 ? message : eddy_strerror(status), NAPI_AUTO_LENGTH, &text);
    napi_create_error(env, code, text, &error);
    return error;
}

static void settle(napi_env env, struct pending* p, eddy_op* op) {
    const int status = eddy_op_status(op);
    napi_value value;
    if (status < 0) {
        napi_reject_deferred(env, p->deferred, error_of(env, status, eddy_op_message(op)));
        return;
    }
    switch (p->kind) {
    case ITEM:
        napi_create_int64(env, (int64_t)(intptr_t)eddy_op_take(op), &value);
        break;
    case NUMBER:
        napi_create_int64(env, eddy_op_number(op), &value);
        break;
    default:
        napi_get_undefined(env, &value);
    }
    napi_resolve_deferred(env, p->deferred, value);
}

/* Called from Node's loop. The callback scope makes what waits for the promise run when it closes. */
static void finished(eddy_op* op, void* user) {
    struct pending* const p = user;
    const napi_env env = p->instance->env;
    napi_handle_scope handles;
    napi_callback_scope scope;
    napi_value resource;
    if (env == NULL) return; /* it ends: nobody hears of it */
    if (napi_open_handle_scope(env, &handles) != napi_ok) return;
    if (napi_create_object(env, &resource) == napi_ok &&
        napi_open_callback_scope(env, resource, p->instance->context, &scope) == napi_ok) {
        settle(env, p, op);
        napi_close_callback_scope(env, scope);
    }
    napi_close_handle_scope(env, handles);
}

static void drop_pending(void* user) {
    struct pending* const p = user;
    *p->link = p->next;
    if (p->next != NULL) p->next->link = p->link;
    eddy_unref(p->op);
    free(p);
}

static void unref_op(napi_env env, void* op, void* hint) {
    (void)env;
    (void)hint;
    eddy_unref(op);
}

/* { promise, op } of an op, whose reference is ours. `limit`: milliseconds, or undefined. */
static napi_value promise_of(napi_env env, eddy_op* op, enum kind kind, napi_value limit) {
    struct instance* const instance = instance_of(env);
    struct pending* const p = calloc(1, sizeof *p);
    napi_value result, promise, external;
    double milliseconds;
    if (napi_get_value_double(env, limit, &milliseconds) == napi_ok)
        op = eddy_op_timeout(op, milliseconds > 0 ? (uint64_t)(milliseconds * 1e6) : 0);
    if (p == NULL || op == NULL || napi_create_promise(env, &p->deferred, &promise) != napi_ok) {
        free(p);
        eddy_unref(op);
        napi_throw_error(env, eddy_errname(EDDY_ENOMEM), eddy_strerror(EDDY_ENOMEM));
        return NULL;
    }
    p->instance = instance;
    p->kind = kind;
    p->op = eddy_ref(op);
    p->next = instance->pending;
    p->link = &instance->pending;
    if (p->next != NULL) p->next->link = &p->next;
    instance->pending = p;
    napi_create_object(env, &result);
    napi_set_named_property(env, result, "promise", promise);
    napi_create_external(env, eddy_ref(op), unref_op, NULL, &external);
    napi_set_named_property(env, result, "op", external);
    eddy_op_then(op, finished, p, drop_pending);
    return result;
}

/* ---- functions */

static int arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value* values) {
    return napi_get_cb_info(env, info, &wanted, values, NULL, NULL) == napi_ok;
}

static void* external(napi_env env, napi_value value) {
    void* pointer = NULL;
    if (napi_get_value_external(env, value, &pointer) != napi_ok)
        napi_throw_type_error(env, NULL, "an object of eddy expected");
    return pointer;
}

/* sleep(milliseconds, limit) */
static napi_value js_sleep(napi_env env, napi_callback_info info) {
    napi_value v[2];
    double milliseconds;
    if (!arguments(env, info, 2, v)) return NULL;
    if (napi_get_value_double(env, v[0], &milliseconds) != napi_ok) {
        napi_throw_type_error(env, NULL, "milliseconds expected");
        return NULL;
    }
    return promise_of(env, eddy_sleep(instance_of(env)->loop, milliseconds > 0 ? (uint64_t)(milliseconds * 1e6) : 0),
                      NOTHING, v[1]);
}

/* cancel(op) */
static napi_value cancel(napi_env env, napi_callback_info info) {
    napi_value v[1];
    if (arguments(env, info, 1, v)) eddy_op_cancel(external(env, v[0]));
    return NULL;
}

/* queue(capacity): items are numbers, which eddy.js gives a meaning. */
static napi_value queue(napi_env env, napi_callback_info info) {
    napi_value v[1], result = NULL;
    uint32_t capacity = 0;
    eddy_queue* q;
    int status;
    if (!arguments(env, info, 1, v)) return NULL;
    napi_get_value_uint32(env, v[0], &capacity);
    status = eddy_queue_new(instance_of(env)->loop, capacity, NULL, &q);
    if (status != EDDY_OK)
        napi_throw(env, error_of(env, status, ""));
    else
        napi_create_external(env, q, unref_op, NULL, &result);
    return result;
}

/* put(queue, item, limit) */
static napi_value put(napi_env env, napi_callback_info info) {
    napi_value v[3];
    int64_t item = 0;
    eddy_queue* q;
    if (!arguments(env, info, 3, v) || (q = external(env, v[0])) == NULL) return NULL;
    napi_get_value_int64(env, v[1], &item);
    return promise_of(env, eddy_queue_put(q, (void*)(intptr_t)item), NOTHING, v[2]);
}

/* get(queue, limit) */
static napi_value get(napi_env env, napi_callback_info info) {
    napi_value v[2];
    eddy_queue* q;
    if (!arguments(env, info, 2, v) || (q = external(env, v[0])) == NULL) return NULL;
    return promise_of(env, eddy_queue_get(q), ITEM, v[1]);
}

/* close(queue) */
static napi_value close_queue(napi_env env, napi_callback_info info) {
    napi_value v[1];
    if (arguments(env, info, 1, v)) eddy_queue_close(external(env, v[0]));
    return NULL;
}

/* On a worker thread: something that takes long, and looks now and then whether anybody still wants it. */
static int count_primes(eddy_work* work, void* user) {
    const uint32_t end = *(uint32_t*)user;
    uint32_t n, d;
    int64_t count = 0;
    for (n = 2; n < end; n++) {
        for (d = 2; d * d <= n && n % d != 0; d++) {
        }
        if (d * d > n) count++;
        if (n % 1024 == 0 && eddy_work_cancelled(work)) return EDDY_ECANCELED;
    }
    eddy_work_set(work, NULL, NULL, count);
    return EDDY_OK;
}

/* primes(below, limit): how many there are */
static napi_value primes(napi_env env, napi_callback_info info) {
    napi_value v[2];
    uint32_t below = 0, *copy;
    if (!arguments(env, info, 2, v)) return NULL;
    if (napi_get_value_uint32(env, v[0], &below) != napi_ok) {
        napi_throw_type_error(env, NULL, "a number expected");
        return NULL;
    }
    copy = malloc(sizeof *copy);
    if (copy == NULL) return promise_of(env, NULL, NUMBER, v[1]);
    *copy = below;
    return promise_of(env, eddy_offload(instance_of(env)->loop, NULL, count_primes, copy, free, 0), NUMBER, v[1]);
}

/* ---- beginning and end of an environment */

static void timer_closed(uv_handle_t* timer) {
    struct instance* const instance = timer->data;
    napi_async_cleanup_hook_handle hook = instance->hook;
    free(instance);
    napi_remove_async_cleanup_hook(hook); /* Node goes on */
}

/* Offloaded functions have been told; the loop cannot be closed while one still runs. */
static void try_to_close(uv_timer_t* timer) {
    struct instance* const instance = timer->data;
    if (eddy_loop_close(instance->loop, 0) == EDDY_EBUSY) return; /* a millisecond later again */
    eddy_unref(instance->loop);
    /* eddy's handles are closed in the same turn of the loop, and before this one. */
    uv_close((uv_handle_t*)timer, timer_closed);
}

static void end(napi_async_cleanup_hook_handle hook, void* data) {
    struct instance* const instance = data;
    struct pending* p;
    instance->hook = hook;
    for (p = instance->pending; p != NULL; p = p->next)
        eddy_op_cancel(p->op);
    napi_async_destroy(instance->env, instance->context);
    instance->env = NULL;
    uv_timer_init(instance->uv, &instance->timer);
    instance->timer.data = instance;
    uv_timer_start(&instance->timer, try_to_close, 0, 1);
}

static napi_value begin(napi_env env, napi_value exports) {
    static const struct {
        const char* name;
        napi_callback function;
    } functions[] = {
        {"cancel", cancel}, {"close", close_queue}, {"get", get},        {"primes", primes},
        {"put", put},       {"queue", queue},       {"sleep", js_sleep},
    };
    struct instance* const instance = calloc(1, sizeof *instance);
    eddy_loop_opts options;
    napi_value name, function;
    size_t i;
    int status = instance == NULL ? EDDY_ENOMEM : EDDY_OK;
    if (status == EDDY_OK && napi_get_uv_event_loop(env, &instance->uv) != napi_ok) status = EDDY_EINVAL;
    if (status == EDDY_OK) {
        EDDY_INIT(&options);
        eddy_loop_opts_adopt(&options, instance->uv);
        status = eddy_loop_new(&options, &instance->loop); /* EDDY_EABI: eddy has another libuv than Node */
    }
    if (status != EDDY_OK) {
        free(instance);
        napi_throw_error(env, eddy_errname(status), eddy_strerror(status));
        return NULL;
    }
    instance->env = env;
    napi_create_string_utf8(env, "eddy", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, NULL, name, &instance->context);
    napi_set_instance_data(env, instance, NULL, NULL);
    napi_add_async_cleanup_hook(env, end, instance, NULL);
    for (i = 0; i < sizeof functions / sizeof *functions; i++) {
        napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function);
        napi_set_named_property(env, exports, functions[i].name, function);
    }
    return exports;
}

NAPI_MODULE(eddy, begin)
