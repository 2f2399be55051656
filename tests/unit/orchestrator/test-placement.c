/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "orchestrator/placement.h"

/* Devices that come one after another: how many servers they take, and how many are alone. */
static void place(unsigned int taken, unsigned int reserved, unsigned int n_devices,
                  unsigned int *ret_alone, unsigned int *ret_shared, unsigned int *ret_left)
{
        unsigned int next = taken;
        bool opened = false;

        *ret_alone = *ret_shared = 0;
        for (unsigned int i = 0; i < n_devices; i++) {
                if (opened) {
                        (*ret_shared)++;
                        continue;
                }
                if (next == IOREQ_SERVERS_MAX)
                        continue; /* it cannot be served */
                opened = placement_opens_shared((uint16_t)next++, reserved);
                if (opened)
                        (*ret_shared)++;
                else
                        (*ret_alone)++;
        }
        *ret_left = IOREQ_SERVERS_MAX - next;
}

static const struct {
        unsigned int taken, reserved, n_devices; /* taken: by others, before */
        unsigned int alone, shared, left;
} cases[] = {
        { 0, 1, 0, 0, 0, 8 },
        { 0, 1, 1, 1, 0, 7 },
        { 0, 1, 6, 6, 0, 2 },
        { 0, 1, 7, 6, 1, 1 },
        { 0, 1, 8, 6, 2, 1 },
        { 0, 1, 11, 6, 5, 1 },
        { 0, 1, 64, 6, 58, 1 },
        { 0, 0, 7, 7, 0, 1 },
        { 0, 0, 11, 7, 4, 0 },
        { 0, 3, 11, 4, 7, 3 },
        { 0, 6, 11, 1, 10, 6 },
        { 0, 7, 1, 0, 1, 7 },
        { 0, 7, 11, 0, 11, 7 },
        { 3, 1, 11, 3, 8, 1 },
        { 6, 1, 11, 0, 11, 1 },
        /* Others have what was reserved for them, and more. */
        { 7, 1, 11, 0, 11, 0 },
        { 7, 0, 11, 0, 11, 0 },
        { 8, 1, 11, 0, 0, 0 },
};

static void test_numbers(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                unsigned int alone, shared, left;

                g_test_message("%u taken, %u reserved, %u devices", cases[i].taken,
                               cases[i].reserved, cases[i].n_devices);
                place(cases[i].taken, cases[i].reserved, cases[i].n_devices, &alone, &shared,
                      &left);
                g_assert_cmpuint(alone, ==, cases[i].alone);
                g_assert_cmpuint(shared, ==, cases[i].shared);
                g_assert_cmpuint(left, ==, cases[i].left);
        }
}

static void test_memory(void)
{
        for (MemoryChoice memory = 0; memory < _MEMORY_CHOICE_MAX; memory++) {
                Launch launch = { .memory = memory };

                g_assert_cmpint(placement_can_share(&launch), ==, memory != MEMORY_SEED);
                launch.grant_usage = true; /* then that is all it maps */
                g_assert_true(placement_can_share(&launch));
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/placement/numbers", test_numbers);
        g_test_add_func("/placement/memory", test_memory);
        return g_test_run();
}
