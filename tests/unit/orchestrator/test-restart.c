/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "orchestrator/restart.h"

#define JITTER_NONE 0U
#define JITTER_FULL 20000U /* the largest remainder that the random number can have */

static void test_schedule(void)
{
        static const unsigned int tenths[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600 };
        Restart restart = { 0 };
        uint64_t now = 5 * USEC_PER_SEC;

        for (size_t i = 0; i < G_N_ELEMENTS(tenths); i++) {
                restart_note_failure(&restart, now, JITTER_NONE);
                g_assert_cmpuint(restart.not_before - now, ==, tenths[i] * 100 * USEC_PER_MSEC);
                now = restart.not_before;
        }
}

/* A profile's own times, each for itself. */
static void test_policy(void)
{
        static const unsigned int seconds[] = { 2, 4, 5, 5 };
        Restart restart = { .policy = { 2 * USEC_PER_SEC, 5 * USEC_PER_SEC, USEC_PER_SEC } };
        Restart longer = { .policy = { .delay_max_usec = 3600 * USEC_PER_SEC } };
        uint64_t now = 5 * USEC_PER_SEC;

        for (size_t i = 0; i < G_N_ELEMENTS(seconds); i++) {
                restart_note_failure(&restart, now, JITTER_NONE);
                g_assert_cmpuint(restart.not_before - now, ==, seconds[i] * USEC_PER_SEC);
        }
        restart_note_healthy(&restart, now);
        restart_note_failure(&restart, now + USEC_PER_SEC - 1, JITTER_NONE);
        g_assert_cmpuint(restart.not_before - now, ==, 6 * USEC_PER_SEC - 1);
        restart_note_healthy(&restart, now);
        restart_note_failure(&restart, now + USEC_PER_SEC, JITTER_NONE);
        g_assert_cmpuint(restart.not_before - now, ==, 3 * USEC_PER_SEC);

        for (unsigned int i = 0; i < 100; i++)
                restart_note_failure(&longer, now, JITTER_NONE);
        g_assert_cmpuint(longer.not_before - now, ==, 3600 * USEC_PER_SEC);
}

/* What will fail again is tried as seldom as may be, but is tried; and at once when it may do. */
static void test_refusal(void)
{
        Restart restart = { 0 };

        restart_note_healthy(&restart, 1);
        restart_note_refusal(&restart, 100 * USEC_PER_SEC, JITTER_NONE);
        g_assert_cmpuint(restart.not_before, ==, 100 * USEC_PER_SEC + RESTART_DELAY_MAX_USEC);
        g_assert_cmpuint(restart.n_ends, ==, 1);
        restart_forget(&restart);
        g_assert_cmpuint(restart.not_before, ==, 0);
        restart_note_failure(&restart, 200 * USEC_PER_SEC, JITTER_NONE);
        g_assert_cmpuint(restart.not_before, ==, 200 * USEC_PER_SEC + RESTART_DELAY_MIN_USEC);
}

static void test_jitter(void)
{
        for (uint32_t random = 0; random < 100000; random += 7) {
                Restart restart = { 0 };

                restart_note_failure(&restart, 1000, random);
                g_assert_cmpuint(restart.not_before, >=, 1000 + 100 * USEC_PER_MSEC);
                g_assert_cmpuint(restart.not_before, <=, 1000 + 120 * USEC_PER_MSEC);
        }
        Restart restart = { 0 };

        restart_note_failure(&restart, 0, JITTER_FULL);
        g_assert_cmpuint(restart.not_before, ==, 120 * USEC_PER_MSEC);
}

/* The numbers that the documentation promises for something that fails at once, for ever. */
static void test_starts_are_limited(void)
{
        unsigned int in_minute = 0, in_ten = 0;
        Restart restart = { 0 };

        for (uint64_t now = 1; now < 600 * USEC_PER_SEC; now = restart.not_before) {
                in_minute += now < 60 * USEC_PER_SEC;
                in_ten++;
                restart_note_failure(&restart, now, JITTER_NONE);
        }
        g_assert_cmpuint(in_minute, <=, 10);
        g_assert_cmpuint(in_ten, <=, 19);
}

static void test_never_given_up(void)
{
        Restart restart = { 0 };
        uint64_t now = 1;

        for (unsigned int i = 0; i < 100000; i++) {
                restart_note_failure(&restart, now, JITTER_FULL);
                g_assert_cmpuint(restart.not_before, >, now);
                g_assert_cmpuint(restart.not_before - now, <=, 72 * USEC_PER_SEC);
                now = restart.not_before;
        }
}

static void test_health_forgets(void)
{
        Restart restart = { 0 };

        for (unsigned int i = 0; i < 5; i++)
                restart_note_failure(&restart, 1, JITTER_NONE);
        restart_note_healthy(&restart, USEC_PER_SEC);
        restart_note_failure(&restart, 61 * USEC_PER_SEC, JITTER_NONE);
        g_assert_cmpuint(restart.not_before, ==, 61 * USEC_PER_SEC + 100 * USEC_PER_MSEC);

        /* That health is over: it does not count a second time. */
        restart_note_failure(&restart, 200 * USEC_PER_SEC, JITTER_NONE);
        g_assert_cmpuint(restart.not_before, ==, 200 * USEC_PER_SEC + 200 * USEC_PER_MSEC);
}

static void test_short_health_does_not_forget(void)
{
        Restart restart = { 0 };

        for (unsigned int i = 0; i < 3; i++)
                restart_note_failure(&restart, 1, JITTER_NONE);
        restart_note_healthy(&restart, USEC_PER_SEC);
        restart_note_failure(&restart, 61 * USEC_PER_SEC - 1, JITTER_NONE);
        g_assert_cmpuint(restart.not_before, ==, 61 * USEC_PER_SEC - 1 + 800 * USEC_PER_MSEC);
}

/* An end that was ordered is no failure, once; the past is forgotten with it. */
static void test_order(void)
{
        Restart restart = { 0 };

        for (unsigned int i = 0; i < 3; i++)
                restart_note_failure(&restart, 1, JITTER_NONE);
        restart_note_order(&restart);
        g_assert_cmpuint(restart.not_before, ==, 0);
        g_assert_true(restart_take_order(&restart));
        g_assert_false(restart_take_order(&restart));
        g_assert_cmpuint(restart.n_ends, ==, 4);
        restart_note_failure(&restart, 1, JITTER_NONE);
        g_assert_cmpuint(restart.not_before, ==, 1 + 100 * USEC_PER_MSEC);
        g_assert_cmpuint(restart.n_ends, ==, 5);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/restart/schedule", test_schedule);
        g_test_add_func("/restart/jitter", test_jitter);
        g_test_add_func("/restart/starts-are-limited", test_starts_are_limited);
        g_test_add_func("/restart/never-given-up", test_never_given_up);
        g_test_add_func("/restart/health-forgets", test_health_forgets);
        g_test_add_func("/restart/short-health-does-not-forget", test_short_health_does_not_forget);
        g_test_add_func("/restart/order", test_order);
        g_test_add_func("/restart/policy", test_policy);
        g_test_add_func("/restart/refusal", test_refusal);
        return g_test_run();
}
