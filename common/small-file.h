/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that are read and written as a whole: what the programs say to each other under /run. */

#include <sys/types.h>

#include "common/macros.h"

/*
 * Reads a file from its beginning, wherever its offset is. Returns how many bytes it has, up to
 * size; -EFBIG if it has more; or the negative errno of the read.
 */
ssize_t small_file_read(int fd, char *text, size_t size) _warn_unused_;

/* The same for the file of that name in the folder dirfd, or the negative errno of the open. */
ssize_t small_file_read_at(int dirfd, const char *name, char *text, size_t size) _warn_unused_;

/*
 * Writes length bytes to a temporary file in the folder dirfd that then takes the name, so that no
 * reader finds half of it. Everybody may read it, whatever the umask is: systemd complains about
 * units of which that is not true, and the rest is no secret. Returns 0 or a negative errno;
 * -ENAMETOOLONG for a name of more than SMALL_FILE_NAME_MAX bytes.
 */
int small_file_replace(int dirfd, const char *name, const char *text, size_t length) _warn_unused_;

/* Removes it, if it is there, and what a replacement that was cut short has left. As above. */
int small_file_remove(int dirfd, const char *name) _warn_unused_;

#define SMALL_FILE_NAME_MAX 32
