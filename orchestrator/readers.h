/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who may look: list devices, hear of them, read metrics. Whoever may change anything is root, and
 * that is not configurable.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "common/macros.h"

typedef enum ReadersKind {
        READERS_EVERYBODY,
        READERS_ROOT,
        READERS_GROUP, /* and root */
} ReadersKind;

typedef struct Readers {
        ReadersKind kind;
        gid_t group;
} Readers;

/*
 * Reads "everybody", "root" or the name of a group. Returns 0, -ENOENT if there is no such group,
 * or another negative errno if that cannot be found out; then nobody is taken over.
 */
int readers_parse(const char *text, Readers *ret_readers) _warn_unused_;

/* Whether the process at the other end of the socket may look, which has that user and group. */
bool readers_permit(const Readers *readers, int fd, uid_t uid, gid_t gid);
