/*
 * eddy_uv.h - running eddy on a uv_loop_t the application already has.
 *
 * The functions are inline on purpose: they are compiled against the libuv of
 * the *application*, and hand its version, its loop size and the address of its
 * uv_run to eddy, which compares them with its own.  A process can contain two
 * copies of libuv (node, uvloop and luv may bundle one); passing a loop of one
 * copy to the other corrupts memory, so it is refused with EDDY_EABI.
 */
#ifndef EDDY_UV_H
#define EDDY_UV_H

#include "eddy.h"
#include <uv.h>

#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L)
#define EDDY_UV_INLINE static inline
#else
#define EDDY_UV_INLINE static
#endif

EDDY_UV_INLINE void eddy_loop_opts_adopt(eddy_loop_opts* opts, uv_loop_t* loop) {
    typedef void (*probe)(void);
#if defined(__cplusplus)
    opts->uv_probe = reinterpret_cast<probe>(uv_run);
#else
    opts->uv_probe = (probe)uv_run;
#endif
    opts->uv_loop = loop;
    opts->uv_version = uv_version();
    opts->uv_loop_size = EDDY_U32_(uv_loop_size());
}

#endif /* EDDY_UV_H */
