/* A Lua function on a worker thread, in a Lua state of its own.
 *
 * A Lua state belongs to one thread, so the function travels as byte code, without its upvalues (but for the globals,
 * which are those of the new state: the standard libraries), and arguments and results are nil, booleans, numbers and
 * strings.
 */
#include "eddy_lua.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

struct value {
    int type; /* LUA_TNIL, ...; integers are LUA_TNUMBER with `is_integer`      */
    int is_integer;
    lua_Integer integer; /* a boolean, too                                         */
    lua_Number number;
    char* text;
    size_t length;
};

struct values {
    int count;
    struct value value[1];
};

struct job {
    char* code;
    size_t size;
    struct values* arguments;
};

static void free_values(void* pointer) {
    struct values* const v = pointer;
    int i;
    if (v == NULL) return;
    for (i = 0; i < v->count; i++)
        free(v->value[i].text);
    free(v);
}

/* Copies of the `count` values from `first` on; NULL: one of them can't travel (*bad is its number), or no memory. */
static struct values* copy_values(lua_State* L, int first, int count, int* bad) {
    struct values* const v = calloc(1, sizeof *v + (size_t)count * sizeof v->value[0]);
    int i;
    *bad = 0;
    if (v == NULL) return NULL;
    for (i = 0; i < count; i++) {
        struct value* const to = &v->value[i];
        const int index = first + i;
        v->count = i + 1;
        to->type = lua_type(L, index);
        switch (to->type) {
        case LUA_TNIL:
            break;
        case LUA_TBOOLEAN:
            to->integer = lua_toboolean(L, index);
            break;
        case LUA_TNUMBER:
            to->is_integer = lua_isinteger(L, index);
            to->integer = to->is_integer ? lua_tointeger(L, index) : 0;
            to->number = lua_tonumber(L, index);
            break;
        case LUA_TSTRING: {
            const char* const text = lua_tolstring(L, index, &to->length);
            to->text = malloc(to->length + 1);
            if (to->text != NULL) memcpy(to->text, text, to->length + 1);
            break;
        }
        default:
            *bad = i + 1;
        }
        if (*bad != 0 || (to->type == LUA_TSTRING && to->text == NULL)) {
            free_values(v);
            return NULL;
        }
    }
    return v;
}

static void push_values(lua_State* L, const struct values* v) {
    int i;
    luaL_checkstack(L, v->count, "too many values");
    for (i = 0; i < v->count; i++) {
        const struct value* const from = &v->value[i];
        switch (from->type) {
        case LUA_TBOOLEAN:
            lua_pushboolean(L, (int)from->integer);
            break;
        case LUA_TNUMBER:
            if (from->is_integer)
                lua_pushinteger(L, from->integer);
            else
                lua_pushnumber(L, from->number);
            break;
        case LUA_TSTRING:
            lua_pushlstring(L, from->text, from->length);
            break;
        default:
            lua_pushnil(L);
        }
    }
}

/* ---- on the worker thread */

static const char work_key = 'w';

static void stop_when_cancelled(lua_State* L, lua_Debug* debug) {
    const eddy_work* work;
    (void)debug;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &work_key);
    work = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (eddy_work_cancelled(work)) luaL_error(L, "cancelled");
}

static int call(lua_State* L) {
    const struct job* const job = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, job->code, job->size, "=offload", "b") != LUA_OK) return lua_error(L);
    push_values(L, job->arguments);
    lua_call(L, job->arguments->count, LUA_MULTRET);
    return lua_gettop(L);
}

static int work(eddy_work* w, void* user) {
    lua_State* const L = luaL_newstate();
    struct values* results;
    int bad, status = EDDY_ENOMEM;
    if (L == NULL) return status;
    lua_pushlightuserdata(L, w);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &work_key);
    lua_sethook(L, stop_when_cancelled, LUA_MASKCOUNT, 10000);
    lua_pushcfunction(L, call);
    lua_pushlightuserdata(L, user);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
        const char* const message = lua_tostring(L, -1);
        status = eddy_work_cancelled(w) ? EDDY_ECANCELED : EDDY_EUSER;
        eddy_work_set_message(w, message != NULL ? message : "an error that is no text");
    } else {
        results = copy_values(L, 1, lua_gettop(L), &bad);
        if (results != NULL) {
            eddy_work_set(w, results, free_values, 0);
            status = EDDY_OK;
        } else if (bad != 0) {
            eddy_work_set_message(w,
                                  lua_pushfstring(L, "result %d of the offloaded function is a %s, which can't travel",
                                                  bad, luaL_typename(L, bad)));
            status = EDDY_EUSER;
        }
    }
    lua_close(L);
    return status;
}

/* ---- on the loop */

static void free_job(void* pointer) {
    struct job* const job = pointer;
    if (job == NULL) return;
    free(job->code);
    free_values(job->arguments);
    free(job);
}

static int collect_job(lua_State* L) {
    struct job** const box = lua_touserdata(L, 1);
    free_job(*box);
    *box = NULL;
    return 0;
}

static int add_code(lua_State* L, const void* part, size_t size, void* user) {
    struct job* const job = user;
    char* const code = realloc(job->code, job->size + size);
    (void)L;
    if (code == NULL) return 1;
    memcpy(code + job->size, part, size);
    job->code = code;
    job->size += size;
    return 0;
}

static int finished(lua_State* L, int resumed, lua_KContext context) {
    struct runtime* const rt = eddy_lua_runtime(L);
    eddy_op* const op = eddy_task_awaited(rt->current->step);
    const struct values* results;
    (void)resumed;
    (void)context;
    if (eddy_op_status(op) == EDDY_EUSER) return luaL_error(L, "%s", eddy_op_message(op));
    eddy_lua_check(L, rt);
    results = eddy_op_value(op); /* the op's, which is the task's until it waits again */
    push_values(L, results);
    return results->count;
}

/* offload(f, ...): what f returns, called on a worker thread. Cancelled before it began, it never runs; while it runs,
 * it is stopped, and waited for. */
static int offload(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct task* const here = eddy_lua_here(L, rt);
    struct job *job, **box;
    int bad;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_argcheck(L, !lua_iscfunction(L, 1), 1, "a function written in Lua expected");
    box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, "eddy.job");
    lua_insert(L, 1);
    *box = job = calloc(1, sizeof *job);
    if (job == NULL) return eddy_lua_raise(L, EDDY_ENOMEM, NULL);
    job->arguments = copy_values(L, 3, lua_gettop(L) - 2, &bad);
    if (bad != 0) return luaL_argerror(L, bad + 1, "nil, boolean, number or string expected");
    lua_settop(L, 2);
    if (job->arguments == NULL || lua_dump(L, add_code, job, 0) != 0) return eddy_lua_raise(L, EDDY_ENOMEM, NULL);
    *box = NULL;
    return eddy_lua_await(L, here, eddy_offload(rt->loop, NULL, work, job, free_job, 0), 0, finished);
}

void eddy_lua_open_offload(lua_State* L) {
    static const luaL_Reg functions[] = {{"offload", offload}, {NULL, NULL}};
    static const luaL_Reg nothing[] = {{NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    eddy_lua_type(L, "eddy.job", nothing, collect_job, NULL);
}
