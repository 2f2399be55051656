/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The section [Service] of a profile: what the sandbox of its backends is other than that of all.
 * Its keys are directives of systemd's own, those that make a sandbox or limit what is used. Pure.
 *
 * A value is written to the unit's drop-in word by word. What comes from a variable stays in its
 * word, and is neither a specifier nor an escape of systemd's: where systemd takes quotes, a word
 * with variables is quoted. Words without variables stay as they are.
 */

#include "orchestrator/expand.h"

/* How many directives there are. */
#define SANDBOX_SETTINGS_MAX 32

/* The index of a directive, or a negative value if it is none of those that profiles may have. */
int sandbox_setting_find(const char *name);

/* The name of that index, which is lower than SANDBOX_SETTINGS_MAX. */
const char *sandbox_setting_name(unsigned int setting);

/*
 * The text of that directive's value for a device, in systemd's syntax. Returns as expand() does
 * for its first word that cannot be expanded, else 0. The caller frees *ret_text with g_free().
 */
int sandbox_setting_expand(unsigned int setting, const char *value, const Variable *variables,
                           size_t n_variables, char **ret_text, char **ret_message) _warn_unused_;
