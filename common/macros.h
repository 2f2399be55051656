/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The few language helpers that every file needs: scope cleanup, hand-over of ownership and
 * overflow-safe sizes. Nothing here knows about Xen or virtio.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Runs function(&variable) when the variable goes out of scope, on every path. */
#define _cleanup_(function) __attribute__((cleanup(function)))

#define _printf_(text, first) __attribute__((format(printf, text, first)))
#define _unused_              __attribute__((unused))
#define _warn_unused_         __attribute__((warn_unused_result))

/* Gives the pointer away and leaves NULL behind, so that a scope cleanup finds nothing to free. */
#define steal_pointer(pointer)                                                                     \
        ({                                                                                         \
                __typeof__(pointer) *place_ = &(pointer);                                          \
                __typeof__(pointer) stolen_ = *place_;                                             \
                *place_ = NULL;                                                                    \
                stolen_;                                                                           \
        })

/* Same for a file descriptor: -1 stays behind. */
static inline int steal_fd(int *fd)
{
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

static inline void fd_closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}
#define _cleanup_fd_ _cleanup_(fd_closep)

static inline void freep(void *pointer)
{
        free(*(void **)pointer);
}
#define _cleanup_free_ _cleanup_(freep)
