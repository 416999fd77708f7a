/* A Lua interpreter with the binding inside: unlike Debian's it can be built with a sanitizer, and can run out of
 * memory.
 *
 * usage: lua_host SCRIPT [ARGUMENT...]
 *        lua_host --sweep SCRIPT     once for each allocation of Lua's, which fails: no crash, nothing left
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int luaopen_eddy(lua_State* L);

struct memory {
    size_t used;
    long until_failure; /* allocations; never, when negative                       */
    int failed;
};

static void* allocate(void* user, void* old, size_t old_size, size_t new_size) {
    struct memory* const m = user;
    void* p;
    if (old == NULL) old_size = 0;
    if (new_size == 0) {
        free(old);
        m->used -= old_size;
        return NULL;
    }
    /* Lua relies on shrinking. */
    if (new_size > old_size && m->until_failure >= 0 && m->until_failure-- == 0) {
        m->failed = 1;
        return NULL;
    }
    p = realloc(old, new_size);
    if (p != NULL) m->used += new_size - old_size;
    return p;
}

static int main_function(lua_State* L) {
    char** const argv = lua_touserdata(L, 1);
    int i;
    luaL_openlibs(L);
    luaL_requiref(L, "eddy", luaopen_eddy, 0);
    lua_newtable(L);
    for (i = 1; argv[i] != NULL; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
    if (luaL_loadfile(L, argv[0]) != LUA_OK) return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

/* 0: well; 1: an error of Lua's; 2: something is wrong. */
static int run(char** argv, struct memory* m) {
    lua_State* const L = lua_newstate(allocate, m);
    int status;
    if (L == NULL) return 1;
    lua_pushcfunction(L, main_function);
    lua_pushlightuserdata(L, argv);
    status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK && m->until_failure < 0 && !m->failed) fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    lua_close(L);
    if (m->used != 0) {
        fprintf(stderr, "%lu bytes were left\n", (unsigned long)m->used);
        return 2;
    }
    return status == LUA_OK ? 0 : 1;
}

int main(int argc, char** argv) {
    struct memory m = {0, -1, 0};
    long n;
    if (argc < 2) return 2;
    if (strcmp(argv[1], "--sweep") != 0) return run(argv + 1, &m);
    for (n = 0;; n++) {
        int result;
        m.used = 0;
        m.failed = 0;
        m.until_failure = n;
        result = run(argv + 2, &m);
        if (result == 2) {
            fprintf(stderr, "when allocation %ld had failed\n", n);
            return 1;
        }
        if (!m.failed) {
            printf("%ld allocations, each failed once; then the script %s\n", n, result == 0 ? "ran well" : "FAILED");
            return result;
        }
    }
}
