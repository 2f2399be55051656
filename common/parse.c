/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/parse.h"

#include <errno.h>
#include <string.h>

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

int parse_hex_byte(const char *digits)
{
        const int high = digit_value(digits[0]);
        const int low = high < 16 ? digit_value(digits[1]) : 16;

        return low < 16 ? high * 16 + low : -EINVAL;
}

int parse_mac(const char *text, uint8_t ret_mac[PARSE_MAC_SIZE])
{
        static const uint8_t none[PARSE_MAC_SIZE];
        uint8_t mac[PARSE_MAC_SIZE];

        if (strlen(text) != 3 * PARSE_MAC_SIZE - 1)
                return -EINVAL;
        for (unsigned int i = 0; i < PARSE_MAC_SIZE; i++) {
                int byte = parse_hex_byte(text + 3 * i);

                if (byte < 0 || (i < PARSE_MAC_SIZE - 1 && text[3 * i + 2] != ':'))
                        return -EINVAL;
                mac[i] = (uint8_t)byte;
        }
        if ((mac[0] & 1) || memcmp(mac, none, sizeof(none)) == 0)
                return -ERANGE;
        memcpy(ret_mac, mac, sizeof(mac));
        return 0;
}
