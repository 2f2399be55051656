/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Numbers and addresses from text that others wrote (xenstore nodes, launch files). All of the text
 * has to be that: no white space, sign, suffix or empty string, which the C library's functions
 * accept.
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

/* Two hexadecimal digits, of either case. Returns what they say, or -EINVAL. */
int parse_hex_byte(const char *digits) _warn_unused_;

#define PARSE_MAC_SIZE 6

/*
 * Reads the MAC address of one card, "00:16:3e:12:34:56". Returns 0; -EINVAL for another text; or
 * -ERANGE for a group's address, and for nobody's.
 */
int parse_mac(const char *text, uint8_t ret_mac[PARSE_MAC_SIZE]) _warn_unused_;
