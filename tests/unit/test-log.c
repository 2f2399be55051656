/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/log.h"

#include <errno.h>
#include <glib.h>

#define WINDOW LOG_LIMIT_WINDOW_USEC

static void test_limit(void)
{
        LogLimit limit = { 0 };
        uint64_t now = 5 * WINDOW;

        for (unsigned int i = 0; i < LOG_LIMIT_LINES; i++)
                g_assert_true(log_limit_permit(&limit, now + i));
        for (unsigned int i = 0; i < 1000000; i++)
                g_assert_false(log_limit_permit(&limit, now + WINDOW - 1));
        g_assert_cmpuint(limit.suppressed, ==, 1000000);
        g_assert_true(log_limit_permit(&limit, now + WINDOW));
}

/* However the lines come, no stretch as long as the window sees more than two windows' worth. */
static void test_limit_rate(void)
{
        LogLimit limit = { 0 };
        unsigned int permitted = 0;

        for (uint64_t now = WINDOW; now < 101 * WINDOW; now += WINDOW / 1000)
                permitted += log_limit_permit(&limit, now);
        g_assert_cmpuint(permitted, ==, 100 * LOG_LIMIT_LINES);
}

/* Early after boot the clock is smaller than a window. */
static void test_limit_early(void)
{
        LogLimit limit = { 0 };

        for (unsigned int i = 0; i < LOG_LIMIT_LINES; i++)
                g_assert_true(log_limit_permit(&limit, 0));
        g_assert_false(log_limit_permit(&limit, 0));
}

/* What is suppressed is also counted where somebody else may look. */
static void test_limit_total(void)
{
        uint64_t total = 100;
        LogLimit limit = { .total = &total };

        for (unsigned int i = 0; i < LOG_LIMIT_LINES; i++)
                g_assert_true(log_limit_permit(&limit, 0));
        g_assert_cmpuint(total, ==, 100);
        g_assert_false(log_limit_permit(&limit, 0));
        g_assert_false(log_limit_permit(&limit, 0));
        g_assert_cmpuint(total, ==, 102);
}

static void log_child(void)
{
        const LogContext context = { .device = "5-disk-51712", .domid = 5 };

        g_unsetenv("JOURNAL_STREAM");
        log_setup();
        errno = EBUSY;
        log_error_errno(&context, -ENOENT, "Cannot open %s: %m", "it");
        g_assert_cmpint(errno, ==, EBUSY);
        log_info(/* context= */ NULL, "%0*d", 5000, 1); /* longer than a line */
}

static void test_stderr(void)
{
        if (g_test_subprocess()) {
                log_child();
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr("5-disk-51712: Cannot open it: No such file or directory\n0000*");
        g_test_trap_assert_stderr_unmatched("*0001*");
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log/limit", test_limit);
        g_test_add_func("/log/limit-rate", test_limit_rate);
        g_test_add_func("/log/limit-early", test_limit_early);
        g_test_add_func("/log/limit-total", test_limit_total);
        g_test_add_func("/log/stderr", test_stderr);
        return g_test_run();
}
