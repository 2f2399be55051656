/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/parse.h"

#include <errno.h>

static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return 16;
}

int parse_unsigned(const char *text, uint64_t max, uint64_t *ret_value)
{
        unsigned int base = 10;
        uint64_t value = 0;

        if (!text)
                return -EINVAL;
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
                base = 16;
                text += 2;
        }
        if (*text == '\0')
                return -EINVAL;

        for (; *text != '\0'; text++) {
                unsigned int digit = (unsigned int)digit_value(*text);

                if (digit >= base)
                        return -EINVAL;
                if (__builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return -ERANGE;
        }
        if (value > max)
                return -ERANGE;

        *ret_value = value;
        return 0;
}
