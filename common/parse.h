/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Numbers from text that others wrote (xenstore nodes, launch files). The whole text has to be the
 * number: no white space, sign, suffix or empty string, which the C library's functions accept.
 */

#include <stdint.h>

#include "common/macros.h"

/*
 * Reads a decimal number, or a hexadecimal one with the prefix 0x, between 0 and max.
 *
 * Returns 0; -EINVAL if the text is no such number; -ERANGE if it is larger than max. *ret_value is
 * untouched on failure.
 */
int parse_unsigned(const char *text, uint64_t max, uint64_t *ret_value) _warn_unused_;
