/* Groups: tasks that do not outlive a block.
 *
 *     do
 *         local group <close> = eddy.group()
 *         group:spawn(produce)
 *         group:spawn(consume)
 *     end -- waits for both
 *
 * The first error, in a task or in the block, cancels the rest, and comes out at the end of the block: a wait in the
 * block is interrupted too.
 */
#include "eddy_lua.h"

#include <string.h>

/* Userdata "eddy.group". User values: the first error, and the task in the block. */
struct group {
    struct runtime* rt;
    eddy_group* group;
    struct task* owner; /* NULL: the block has been left                          */
    int was_cancelled;  /* its owner, before                                      */
    int failed;
    int told;        /* the owner, of a failure                                */
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
        if (g->owner != NULL) {
            g->told = 1;
            g->owner->told++;
            eddy_lua_interrupt(g->owner);
        }
    }
    lua_pop(L, 2);
}

static struct group* to_group(lua_State* L) { return luaL_checkudata(L, 1, "eddy.group"); }

/* group() */
static int group(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct group* g;
    eddy_lua_loop(L, rt);
    g = lua_newuserdatauv(L, sizeof *g, 2);
    memset(g, 0, sizeof *g);
    g->rt = rt;
    luaL_setmetatable(L, "eddy.group");
    if (rt->current != NULL) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, rt->current);
        lua_setiuservalue(L, -2, 2);
        g->owner = rt->current;
        g->was_cancelled = eddy_task_cancelled(rt->current->step);
    }
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

/* The block has been left. Tells whether it was cancelled for a member's sake, and by nobody else. */
static int leave_block(lua_State* L, struct group* g, int is_in_task) {
    struct task* const owner = g->owner;
    int ours;
    g->owner = NULL;
    if (owner == NULL || !g->told) return 0;
    ours = is_in_task && g->rt->current == owner && eddy_lua_is_cancelled(L, 2) &&
           (g->was_cancelled || !eddy_task_cancelled(owner->step));
    /* Not for this group any more; but for others around it, that the one interruption was also for. */
    owner->interrupt = --owner->told > 0;
    return ours;
}

static int wait_to_close(lua_State* L, struct group* g) {
    return eddy_lua_await(L, g->rt->current, eddy_group_wait(g->group), 0, closed);
}

/* __close(group, error) */
static int close(lua_State* L) {
    struct group* const g = to_group(L);
    const struct task* const t = g->rt->current;
    const int can_wait = t != NULL && t->co == L && lua_isyieldable(L);
    lua_settop(L, 2);
    if (leave_block(L, g, can_wait)) {
        lua_pushnil(L); /* it is the member's error that comes out */
        lua_replace(L, 2);
    }
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
