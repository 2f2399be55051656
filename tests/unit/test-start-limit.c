/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/start-limit.h"

#include <glib.h>

#define SECOND UINT64_C(1000000)
#define START  (12345 * SECOND)

/* Of a device with so many. */
static unsigned int cost(unsigned int n_queues)
{
        return START_LIMIT_DEVICE + START_LIMIT_QUEUE * n_queues;
}

/* As many as there are until the first that has to wait. */
static unsigned int burst(StartLimit *limit, uint64_t now, unsigned int n_queues)
{
        unsigned int n = 0;

        while (start_limit_take(limit, now, cost(n_queues)) == 0)
                n++;
        return n;
}

static void test_burst(void)
{
        StartLimit one = { 0 }, many = { 0 };

        g_assert_cmpuint(burst(&one, START, 1), >=, 100);
        g_assert_cmpuint(burst(&one, START, 1), ==, 0);
        g_assert_cmpuint(burst(&many, START, 64), >=, 5);
}

/* Who waits as long as is said may go on; and never longer than what one start is worth. */
static void test_rate(void)
{
        for (unsigned int n_queues = 0; n_queues <= 64; n_queues += 16) {
                StartLimit limit = { 0 };
                uint64_t now = START;
                unsigned int n = 0;

                burst(&limit, now, n_queues);
                while (now < START + 1000 * SECOND) {
                        const uint64_t wait = start_limit_take(&limit, now, cost(n_queues));

                        g_assert_cmpuint(wait, <=, 15 * SECOND);
                        now += wait;
                        n += wait == 0;
                }
                /* A start is 2 messages and 8 for each queue at the very least. */
                g_assert_cmpuint(n * (2 + 8 * n_queues), <=, 1000 * START_LIMIT_RATE);
                g_assert_cmpuint(n, >=, 50);
        }
}

/* A quiet time makes it as it was, and no better. */
static void test_recovers(void)
{
        StartLimit limit = { 0 };
        const unsigned int n = burst(&limit, START, 1);

        g_assert_cmpuint(burst(&limit, START + 1000 * SECOND, 1), ==, n);
        g_assert_cmpuint(burst(&limit, START + 100000 * SECOND, 1), ==, n);
}

/* A driver that is bound anew once a second for an hour is nobody's storm. */
static void test_ordinary_life(void)
{
        StartLimit limit = { 0 };

        for (unsigned int second = 0; second < 3600; second++)
                g_assert_cmpuint(start_limit_take(&limit, START + second * SECOND, cost(1)), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/start-limit/burst", test_burst);
        g_test_add_func("/start-limit/rate", test_rate);
        g_test_add_func("/start-limit/recovers", test_recovers);
        g_test_add_func("/start-limit/ordinary-life", test_ordinary_life);
        return g_test_run();
}
