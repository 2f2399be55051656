/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/guest-memory.h"

#include <errno.h>
#include <glib.h>

#define GIB (UINT64_C(1) << 30)

static void test_banks(void)
{
        MemoryBank banks[MEMORY_BANKS_MAX];

        g_assert_cmpint(guest_memory_banks(4, banks), ==, 1);
        g_assert_cmphex(banks[0].base, ==, 0x40000000);
        g_assert_cmphex(banks[0].size, ==, 4096);

        g_assert_cmpint(guest_memory_banks(3 * GIB / 1024, banks), ==, 1);
        g_assert_cmphex(banks[0].size, ==, 3 * GIB);

        g_assert_cmpint(guest_memory_banks(3 * GIB / 1024 + 4, banks), ==, 2);
        g_assert_cmphex(banks[0].size, ==, 3 * GIB);
        g_assert_cmphex(banks[1].base, ==, 0x200000000);
        g_assert_cmphex(banks[1].size, ==, 4096);

        g_assert_cmpint(guest_memory_banks(1019 * GIB / 1024, banks), ==, 2);
        g_assert_cmphex(banks[1].size, ==, 1016 * GIB);
}

static void test_no_banks(void)
{
        static const uint64_t sizes[] = {
                0,
                1,
                3,
                5,
                1019 * GIB / 1024 + 4,
                UINT64_MAX,
                UINT64_MAX / 1024 + 1,
                UINT64_C(1) << 54,
        };
        MemoryBank banks[MEMORY_BANKS_MAX];

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
                g_assert_cmpint(guest_memory_banks(sizes[i], banks), ==, -ERANGE);
}

/* The same question, answered with numbers that are too wide to wrap around. */
static bool contains_oracle(const MemoryBank *banks, unsigned int n, uint64_t address,
                            uint64_t length)
{
        for (unsigned int i = 0; i < n; i++) {
                unsigned __int128 first = banks[i].base, end = first + banks[i].size;

                if (address >= first && address < end && (unsigned __int128)address + length <= end)
                        return true;
        }
        return false;
}

/* A number close to an edge of something, where mistakes live. */
static uint64_t edge_number(const MemoryBank *banks, unsigned int n)
{
        const MemoryBank *bank = &banks[(unsigned int)g_test_rand_int_range(0, (int)n)];
        const uint64_t edges[] = {
                0,          bank->base,        bank->size,    bank->base + bank->size,
                UINT64_MAX, UINT64_C(1) << 32, bank->size / 2
        };
        uint64_t edge = edges[g_test_rand_int_range(0, G_N_ELEMENTS(edges))];

        return edge + (uint64_t)(int64_t)g_test_rand_int_range(-2, 3);
}

static void test_contains(void)
{
        MemoryBank banks[MEMORY_BANKS_MAX];
        unsigned int n = (unsigned int)guest_memory_banks(4 * GIB / 1024, banks), inside = 0;

        for (unsigned int i = 0; i < 1000000; i++) {
                uint64_t address = edge_number(banks, n), length = edge_number(banks, n);
                bool expected;

                if (length == 0)
                        continue;
                expected = contains_oracle(banks, n, address, length);
                inside += expected;
                if (guest_memory_contains(banks, n, address, length) != expected)
                        g_error("%#" G_GINT64_MODIFIER "x+%#" G_GINT64_MODIFIER "x", address,
                                length);
        }
        g_assert_cmpuint(inside, >, 10000); /* or the numbers tested little */
}

static void test_text(void)
{
        MemoryBank banks[MEMORY_BANKS_MAX], back[MEMORY_BANKS_MAX];
        char text[GUEST_MEMORY_TEXT_MAX];

        g_assert_cmpint(guest_memory_banks(1019 * GIB / 1024, banks), ==, 2);
        guest_memory_format(banks, 2, text);
        g_assert_cmpstr(text, ==, "0x40000000+0xc0000000,0x200000000+0xfe00000000");
        g_assert_cmpint(guest_memory_parse(text, back), ==, 2);
        g_assert_cmpmem(banks, sizeof(banks), back, sizeof(back));

        guest_memory_format(banks, 1, text);
        g_assert_cmpint(guest_memory_parse(text, back), ==, 1);
        g_assert_cmpmem(banks, sizeof(banks[0]), back, sizeof(back[0]));
}

static void test_hostile_text(void)
{
        static const char *const texts[] = {
                "",
                ",",
                "+",
                "0x1000",
                "0x1000+",
                "+0x1000",
                "0x1000+0",
                "0x1000+0x1000,",
                ",0x1000+0x1000",
                "0x1000+0x1000,,0x3000+0x1000",
                "0x1001+0x1000",
                "0x1000+0x1001",
                "0x1000+0x1000+0x1000",
                "0x1000+-0x1000",
                "0xfffffffffffff000+0x2000",
                "0x1000+0x1000,0x3000+0x1000,0x5000+0x1000",
                "0x1000 +0x1000",
                "0x1000+0x1000\n",
                "0x10000000000000000+0x1000",
                "0x000000000000000000000000000000000000000000000000000000000000000000001000+0x1000",
        };
        MemoryBank banks[MEMORY_BANKS_MAX];

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_test_message("\"%s\"", texts[i]);
                g_assert_cmpint(guest_memory_parse(texts[i], banks), ==, -EINVAL);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/guest-memory/banks", test_banks);
        g_test_add_func("/guest-memory/no-banks", test_no_banks);
        g_test_add_func("/guest-memory/contains", test_contains);
        g_test_add_func("/guest-memory/text", test_text);
        g_test_add_func("/guest-memory/hostile-text", test_hostile_text);
        return g_test_run();
}
