/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "orchestrator/start-budget.h"

/* Whoever asks as often as may be gets a burst, and then so many a second. */
static void test_rate(void)
{
        StartBudget budget = { 0 };
        unsigned int n = 0;

        for (uint64_t now = 5 * USEC_PER_SEC; now < 15 * USEC_PER_SEC; now += USEC_PER_MSEC)
                n += start_budget_take(&budget, now) == 0;
        g_assert_cmpuint(n, ==, START_BUDGET_BURST + 10 * 20 - 1);
}

/* The time that is given is the first one at which there is a start. */
static void test_time(void)
{
        StartBudget budget = { 0 };
        const uint64_t now = USEC_PER_SEC;
        uint64_t after;

        for (unsigned int i = 0; i < START_BUDGET_BURST; i++)
                g_assert_cmpuint(start_budget_take(&budget, now), ==, 0);
        after = start_budget_take(&budget, now);
        g_assert_cmpuint(after, ==, now + START_BUDGET_INTERVAL_USEC);
        g_assert_cmpuint(start_budget_take(&budget, after - 1), ==, after);
        g_assert_cmpuint(start_budget_take(&budget, after), ==, 0);
}

/* It is full again after a while, and not more than that. */
static void test_full(void)
{
        StartBudget budget = { 0 };
        uint64_t now = USEC_PER_SEC;

        for (unsigned int round = 0; round < 2; round++) {
                for (unsigned int i = 0; i < START_BUDGET_BURST; i++)
                        g_assert_cmpuint(start_budget_take(&budget, now), ==, 0);
                g_assert_cmpuint(start_budget_take(&budget, now), !=, 0);
                now += 3600 * USEC_PER_SEC;
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/start-budget/rate", test_rate);
        g_test_add_func("/start-budget/time", test_time);
        g_test_add_func("/start-budget/full", test_full);
        return g_test_run();
}
