/* Groups: tasks that do not outlive a block.
 *
 *     do
 *         local group <close> = eddy.group()
 *         group:spawn(produce)
 *         group:spawn(consume)
 *     end -- waits for both
 *
 * The first error, in a task or in the block, cancels the tasks, and comes out at the end of the block.
 */
#include "eddy_lua.h"

#include <string.h>

/* Userdata "eddy.group". Its user value: the first error. */
struct group {
    struct runtime* rt;
    eddy_group* group;
    int failed;
    int interrupted; /* while it was closed: what waits for its end was cancelled */
};

void eddy_lua_group_failed(struct task* t) {
    lua_State* const L = t->rt->scratch;
    struct group* g;
    lua_rawgetp(L, LUA_REGISTRYINDEX, t);
    lua_getiuservalue(L, -1, 2);
    g = lua_touserdata(L, -1);
    if (g != NULL && !g->failed) {
        g->failed = 1;
        lua_pushvalue(t->co, -1);
        lua_xmove(t->co, L, 1);
        lua_setiuservalue(L, -2, 1);
    }
    lua_pop(L, 2);
}

static struct group* to_group(lua_State* L) { return luaL_checkudata(L, 1, "eddy.group"); }

/* group() */
static int group(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct group* g;
    eddy_lua_loop(L, rt);
    g = lua_newuserdatauv(L, sizeof *g, 1);
    memset(g, 0, sizeof *g);
    g->rt = rt;
    luaL_setmetatable(L, "eddy.group");
    eddy_lua_require(L, eddy_group_new(rt->loop, 0, &g->group));
    return 1;
}

/* group:spawn(f, ...): in a group that was cancelled or has failed, the task ends as cancelled without having begun. */
static int spawn(lua_State* L) {
    struct group* const g = to_group(L);
    struct task* t;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    t = eddy_lua_spawn(L, g->rt, 1, lua_gettop(L) - 2);
    eddy_group_add(g->group, eddy_ref(t->op));
    return 1;
}

static int cancel(lua_State* L) {
    eddy_group_cancel(to_group(L)->group);
    return 0;
}

static int size(lua_State* L) {
    lua_pushinteger(L, (lua_Integer)eddy_group_size(to_group(L)->group));
    return 1;
}

static int raise_failure(lua_State* L, const struct group* g, int status, const char* message) {
    if (status != EDDY_EUSER || !g->failed) return eddy_lua_raise(L, status, message);
    lua_getiuservalue(L, 1, 1);
    return lua_error(L);
}

static int waited(lua_State* L, int resumed, lua_KContext context) {
    struct group* const g = to_group(L);
    eddy_op* const op = eddy_task_awaited(g->rt->current->step);
    const int status = eddy_op_status(op);
    (void)resumed;
    (void)context;
    return status < 0 ? raise_failure(L, g, status, eddy_op_message(op)) : 0;
}

/* group:wait(): until it is empty; raises the first error. */
static int wait(lua_State* L) {
    struct group* const g = to_group(L);
    struct task* const here = eddy_lua_here(L, g->rt);
    return eddy_lua_await(L, here, eddy_group_wait(g->group), 0, waited);
}

static int wait_to_close(lua_State* L, struct group* g);

static int closed(lua_State* L, int resumed, lua_KContext context) {
    struct group* const g = to_group(L);
    eddy_op* const op = eddy_task_awaited(g->rt->current->step);
    const int status = eddy_op_status(op);
    (void)resumed;
    (void)context;
    if (status == EDDY_ECANCELED && eddy_group_size(g->group) != 0) {
        /* We are; those inside are still waited for. */
        g->interrupted = 1;
        eddy_group_cancel(g->group);
        return wait_to_close(L, g);
    }
    if (!lua_isnoneornil(L, 2)) return 0; /* the block's own error goes on */
    if (g->interrupted) return eddy_lua_raise(L, EDDY_ECANCELED, NULL);
    return status < 0 ? raise_failure(L, g, status, eddy_op_message(op)) : 0;
}

static int wait_to_close(lua_State* L, struct group* g) {
    return eddy_lua_await(L, g->rt->current, eddy_group_wait(g->group), 0, closed);
}

/* __close(group, error) */
static int close(lua_State* L) {
    struct group* const g = to_group(L);
    const struct task* const t = g->rt->current;
    const int can_wait = t != NULL && t->co == L && lua_isyieldable(L);
    if (!lua_isnoneornil(L, 2) || !can_wait) eddy_group_cancel(g->group);
    return can_wait ? wait_to_close(L, g) : 0;
}

static int collect(lua_State* L) {
    struct group* const g = to_group(L);
    eddy_unref(g->group);
    g->group = NULL;
    return 0;
}

void eddy_lua_open_groups(lua_State* L) {
    static const luaL_Reg functions[] = {{"group", group}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"__len", size}, {"cancel", cancel}, {"spawn", spawn}, {"wait", wait}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    eddy_lua_type(L, "eddy.group", methods, collect, close);
}
