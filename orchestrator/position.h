/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where in a file something stands, and messages about it the way compilers write them. */

#include <glib.h>

#include "common/macros.h"

/* Line and column count from 1, the column in bytes. */
typedef struct Position {
        unsigned int line, column;
} Position;

/* The position of a byte of the text: offset is at most its length. */
Position position_of(const char *text, gsize offset);

/*
 * "FILE:LINE:COLUMN: " and the text, which may quote what the file says: it is cut where it gets
 * long, and its control characters become question marks. The caller frees it.
 */
char *position_message(const char *file, Position position, const char *format, ...)
        _printf_(3, 4) _warn_unused_;
