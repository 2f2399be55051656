/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * %{name} in the words of a backend profile. Pure. Each word is expanded by itself and stays one
 * word, whatever the values contain: no shell ever sees them.
 *
 *   %{name}       the value of the variable
 *   %{name?}      likewise; but if the device has no such value, the whole word is left out
 *   %{name:qemu}  the same within QEMU's key=value,key=value syntax, where a comma is written twice
 *   %%            a percent sign
 */

#include <stddef.h>

#include "common/macros.h"

#define EXPAND_LEFT_OUT 1

typedef struct Variable {
        const char *name;
        const char *value; /* NULL: this device has none, "%{disk.path}" of a device without disk */
} Variable;

/*
 * Expands one word. Returns 0; EXPAND_LEFT_OUT if it is to be left out, which expands to nothing;
 * -EINVAL with one sentence in *ret_message if a variable is unknown
 * or the syntax is wrong; -ENODATA likewise if its value is NULL. The caller frees what is returned
 * with g_free().
 */
int expand(const char *word, const Variable *variables, size_t n_variables, char **ret_expanded,
           char **ret_message) _warn_unused_;
