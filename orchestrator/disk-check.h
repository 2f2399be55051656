/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Says before a backend is started what it would fail at, in words for the administrator. A hint,
 * not a barrier: the backend opens the file later, and its sandbox is what limits it.
 */

#include <stdbool.h>
#include <sys/stat.h>

#include "common/macros.h"

/*
 * Looks at the file or block device that a disk shall lie on. Returns 0 and QEMU's word for it,
 * "file" or "host_device"; or a negative errno with one sentence in *ret_message, which the caller
 * frees.
 */
int disk_check(const char *path, bool readonly, const char **ret_driver,
               char **ret_message) _warn_unused_;

/* Looks at the program of a backend: an executable file. Returns as disk_check(). */
int program_check(const char *path, char **ret_message) _warn_unused_;

/*
 * Whether anybody may read the file, and write it too if writing is asked for. Who that is does not
 * matter to a backend; but nobody writes to what was made read-only for everybody. Pure.
 */
bool disk_mode_permits(const struct stat *st, bool writing);
