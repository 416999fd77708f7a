/* Queues of Lua values.
 *
 * What is in eddy's queue is the number of a slot in a table, the queue's user value: Lua's collector sees the values,
 * also when one of them leads back to the queue. An item that is destroyed after the queue was collected finds no
 * table.
 */
#include "eddy_lua.h"

#include <stdlib.h>
#include <string.h>

/* Between the queue and its items, whoever lives longer. */
struct slots {
    struct runtime* rt; /* NULL: the queue is collected                           */
    size_t references;
};

struct item {
    struct slots* slots;
    int slot;
};

/* Userdata "eddy.queue". Its user value: the table. */
struct queue {
    struct runtime* rt;
    struct slots* slots;
    eddy_queue* queue;
};

static void release(struct slots* s) {
    if (--s->references == 0) free(s);
}

/* Pushes the table of the slots, if it is still there. The registry knows the queue by its slots, weakly. */
static const char queues_key = 'q';

static int push_table(lua_State* L, const struct slots* s) {
    if (s->rt == NULL) return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &queues_key);
    lua_rawgetp(L, -1, s);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    lua_getiuservalue(L, -1, 1);
    lua_remove(L, -2);
    return 1;
}

static void free_item(void* pointer) {
    struct item* const item = pointer;
    struct slots* const s = item->slots;
    if (s->rt != NULL) {
        lua_State* const L = s->rt->scratch;
        if (push_table(L, s)) {
            luaL_unref(L, -1, item->slot);
            lua_pop(L, 1);
        }
    }
    free(item);
    release(s);
}

static struct queue* to_queue(lua_State* L) { return luaL_checkudata(L, 1, "eddy.queue"); }

/* queue([capacity]) */
static int queue(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    const lua_Integer capacity = luaL_optinteger(L, 1, 0);
    struct queue* q;
    eddy_lua_loop(L, rt);
    luaL_argcheck(L, capacity >= 0, 1, "negative capacity");
    q = lua_newuserdatauv(L, sizeof *q, 1);
    memset(q, 0, sizeof *q);
    q->rt = rt;
    luaL_setmetatable(L, "eddy.queue");
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    q->slots = malloc(sizeof *q->slots);
    if (q->slots == NULL) return eddy_lua_raise(L, EDDY_ENOMEM, NULL);
    q->slots->rt = rt;
    q->slots->references = 1;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &queues_key);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, q->slots);
    lua_pop(L, 1);
    eddy_lua_require(L, eddy_queue_new(rt->loop, (size_t)capacity, free_item, &q->queue));
    return 1;
}

/* Of the value at index 2. */
static struct item* new_item(lua_State* L, struct queue* q) {
    struct item* item;
    int slot;
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value expected; nil is what get() tells at the end");
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    slot = luaL_ref(L, -2);
    item = malloc(sizeof *item);
    if (item == NULL) {
        luaL_unref(L, -1, slot);
        eddy_lua_raise(L, EDDY_ENOMEM, NULL);
    }
    item->slots = q->slots;
    item->slot = slot;
    q->slots->references++;
    lua_pop(L, 1);
    return item;
}

/* Of an item that is ours. */
static int push_item(lua_State* L, struct item* item) {
    lua_getiuservalue(L, 1, 1);
    lua_rawgeti(L, -1, item->slot);
    free_item(item);
    return 1;
}

/* queue:put(value): waits while the queue is full. Raises eddy.closed. */
static int put(lua_State* L) {
    struct queue* const q = to_queue(L);
    struct task* const here = eddy_lua_here(L, q->rt);
    struct item* const item = new_item(L, q);
    return eddy_lua_await(L, here, eddy_queue_put(q->queue, item), 0, eddy_lua_nothing);
}

/* queue:try_put(value): false when it would have to wait. */
static int try_put(lua_State* L) {
    struct queue* const q = to_queue(L);
    struct item* const item = new_item(L, q);
    const int status = eddy_queue_try_put(q->queue, item);
    if (status < 0) free_item(item);
    if (status != EDDY_EAGAIN) eddy_lua_require(L, status);
    lua_pushboolean(L, status == EDDY_OK);
    return 1;
}

static int got(lua_State* L, int resumed, lua_KContext context) {
    struct queue* const q = to_queue(L);
    eddy_op* const op = eddy_task_awaited(q->rt->current->step);
    (void)resumed;
    (void)context;
    if (eddy_op_status(op) == EDDY_ECLOSED) return 0;
    eddy_lua_check(L, q->rt);
    return push_item(L, eddy_op_take(op));
}

/* queue:get(): waits for a value; nil when the queue is closed and empty. */
static int get(lua_State* L) {
    struct queue* const q = to_queue(L);
    struct task* const here = eddy_lua_here(L, q->rt);
    lua_settop(L, 1);
    return eddy_lua_await(L, here, eddy_queue_get(q->queue), 0, got);
}

/* queue:try_get(): nil when there is nothing. */
static int try_get(lua_State* L) {
    struct queue* const q = to_queue(L);
    void* item = NULL;
    const int status = eddy_queue_try_get(q->queue, &item);
    if (status == EDDY_EAGAIN || status == EDDY_ECLOSED) return 0;
    eddy_lua_require(L, status);
    return push_item(L, item);
}

/* for value in queue:values() do ... end: until it is closed and empty. */
static int values(lua_State* L) {
    to_queue(L);
    lua_pushcfunction(L, get);
    lua_pushvalue(L, 1);
    return 2;
}

static int close_queue(lua_State* L) {
    eddy_queue_close(to_queue(L)->queue);
    return 0;
}

/* queue:done(): once for each value that was got and handled. */
static int done(lua_State* L) {
    eddy_lua_require(L, eddy_queue_done(to_queue(L)->queue));
    return 0;
}

/* queue:join(): until all values that were put are done. */
static int join(lua_State* L) {
    struct queue* const q = to_queue(L);
    struct task* const here = eddy_lua_here(L, q->rt);
    return eddy_lua_await(L, here, eddy_queue_join(q->queue), 0, eddy_lua_nothing);
}

static int size(lua_State* L) {
    lua_pushinteger(L, (lua_Integer)eddy_queue_size(to_queue(L)->queue));
    return 1;
}

static int collect(lua_State* L) {
    struct queue* const q = to_queue(L);
    if (q->slots != NULL) {
        q->slots->rt = NULL;
        release(q->slots);
        q->slots = NULL;
    }
    eddy_unref(q->queue);
    q->queue = NULL;
    return 0;
}

void eddy_lua_open_queues(lua_State* L) {
    static const luaL_Reg functions[] = {{"queue", queue}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"__len", size}, {"close", close_queue}, {"done", done},       {"get", get},       {"join", join},
        {"put", put},    {"try_get", try_get},   {"try_put", try_put}, {"values", values}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    eddy_lua_type(L, "eddy.queue", methods, collect, NULL);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &queues_key);
}
