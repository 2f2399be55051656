/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/parse.h"

#include <errno.h>
#include <glib.h>

#define UNTOUCHED UINT64_C(0xdead)

typedef struct Case {
        const char *text;
        uint64_t max;
        int result;
        uint64_t value;
} Case;

static const Case cases[] = {
        { "0", 0, 0, 0 },
        { "1", 1, 0, 1 },
        { "007", 10, 0, 7 },
        { "65535", 65535, 0, 65535 },
        { "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
        { "0x0", 0, 0, 0 },
        { "0X1f", 100, 0, 31 },
        { "0xABCDef", UINT64_MAX, 0, 0xabcdef },
        { "0xffffffffffffffff", UINT64_MAX, 0, UINT64_MAX },
        { "00000000000000000000000000000001", 1, 0, 1 },

        { "1", 0, -ERANGE, 0 },
        { "65536", 65535, -ERANGE, 0 },
        { "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
        { "18446744073709551620", UINT64_MAX, -ERANGE, 0 },
        { "184467440737095516150", UINT64_MAX, -ERANGE, 0 },
        { "99999999999999999999999999", UINT64_MAX, -ERANGE, 0 },
        { "0x10000000000000000", UINT64_MAX, -ERANGE, 0 },

        { NULL, UINT64_MAX, -EINVAL, 0 },
        { "", UINT64_MAX, -EINVAL, 0 },
        { " ", UINT64_MAX, -EINVAL, 0 },
        { " 1", UINT64_MAX, -EINVAL, 0 },
        { "1 ", UINT64_MAX, -EINVAL, 0 },
        { "1\n", UINT64_MAX, -EINVAL, 0 },
        { "+1", UINT64_MAX, -EINVAL, 0 },
        { "-1", UINT64_MAX, -EINVAL, 0 },
        { "-0", UINT64_MAX, -EINVAL, 0 },
        { "1k", UINT64_MAX, -EINVAL, 0 },
        { "1.0", UINT64_MAX, -EINVAL, 0 },
        { "1e3", UINT64_MAX, -EINVAL, 0 },
        { "1,000", UINT64_MAX, -EINVAL, 0 },
        { "a", UINT64_MAX, -EINVAL, 0 },
        { "0x", UINT64_MAX, -EINVAL, 0 },
        { "0xg", UINT64_MAX, -EINVAL, 0 },
        { "0x0x1", UINT64_MAX, -EINVAL, 0 },
        { "x1", UINT64_MAX, -EINVAL, 0 },
        { "0b1", UINT64_MAX, -EINVAL, 0 },
        { "\xd9\xa1", UINT64_MAX, -EINVAL, 0 }, /* a digit, but an Arabic one */
};

static void test_table(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                uint64_t value = UNTOUCHED;

                g_test_message("\"%s\"", cases[i].text);
                g_assert_cmpint(parse_unsigned(cases[i].text, cases[i].max, &value), ==,
                                cases[i].result);
                g_assert_cmphex(value, ==, cases[i].result == 0 ? cases[i].value : UNTOUCHED);
        }
}

/* Whatever C prints is read back as the same number. */
static void test_round_trip(void)
{
        for (unsigned int i = 0; i < 100000; i++) {
                uint64_t number = (uint64_t)g_test_rand_int() << (g_test_rand_int() & 31), value;
                g_autofree char *decimal = g_strdup_printf("%" G_GUINT64_FORMAT, number);
                g_autofree char *hexadecimal = g_strdup_printf("%#" G_GINT64_MODIFIER "x", number);

                g_assert_cmpint(parse_unsigned(decimal, UINT64_MAX, &value), ==, 0);
                g_assert_cmphex(value, ==, number);
                g_assert_cmpint(parse_unsigned(hexadecimal, UINT64_MAX, &value), ==, 0);
                g_assert_cmphex(value, ==, number);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/parse/table", test_table);
        g_test_add_func("/parse/round-trip", test_round_trip);
        return g_test_run();
}
