/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files of text that people wrote: read whole, never without end, and never waited for. Of several
 * folders the first one wins: a file hides those of the same name in the others.
 */

#include <glib.h>

#include "common/macros.h"

#define TEXT_FILE_LIMIT (64 << 10)

/*
 * Reads a regular file of at most TEXT_FILE_LIMIT bytes. The text has a NUL behind its size bytes.
 *
 * Returns 0, or a negative errno with one sentence in *ret_message that begins with the path:
 * -ENOENT is the only one that callers may tell from others. The caller frees both.
 */
int text_file_read(const char *path, char **ret_text, gsize *ret_size,
                   char **ret_message) _warn_unused_;

/*
 * The paths of all regular files in the folders whose names end with suffix and do not begin with a
 * dot, sorted by name; each name once. folders ends with NULL, and the first one wins. The caller
 * frees the list.
 */
char **text_file_list(const char *const *folders, const char *suffix);

/* The path of the file in the first of the folders that has it, or NULL. The caller frees it. */
char *text_file_find(const char *const *folders, const char *name);
