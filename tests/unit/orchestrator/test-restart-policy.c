/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "orchestrator/restart-policy.h"

static const struct {
        const char *value;
        uint64_t msec; /* 0: refused */
} values[] = {
        { "1", 1000 },
        { "0.01", 10 },
        { "0.5", 500 },
        { "1.25", 1250 },
        { "3600", 3600000 },
        { "0.015", 15 },
        { "3600.001", 0 },
        { "0.009", 0 },
        { "0", 0 },
        { "", 0 },
        { ".5", 0 },
        { "1.", 0 },
        { "1.2345", 0 },
        { "-1", 0 },
        { "1s", 0 },
        { "1.x", 0 },
        { "0x10", 0 },
        { " 1", 0 },
        { "99999999999999999999", 0 },
};

static void test_values(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                g_autofree char *reason = NULL, *expected = NULL;
                RestartPolicy policy = { 0 };
                int r;

                g_test_message("%s", values[i].value);
                r = restart_policy_set(&policy, "MaxDelaySec", values[i].value, &reason);
                expected =
                        g_strdup_printf("\"%s\" are no seconds from 0.01 to 3600", values[i].value);
                g_assert_cmpint(r, ==, values[i].msec > 0 ? 0 : -EINVAL);
                g_assert_cmpstr(reason, ==, values[i].msec > 0 ? NULL : expected);
                g_assert_cmpuint(policy.delay_max_usec, ==, values[i].msec * USEC_PER_MSEC);
                g_assert_cmpuint(policy.delay_usec + policy.healthy_usec, ==, 0);
        }
}

static void test_keys(void)
{
        g_autofree char *reason = NULL;
        RestartPolicy policy = { 0 };

        g_assert_true(restart_policy_has("DelaySec"));
        g_assert_true(restart_policy_has("HealthySec"));
        g_assert_false(restart_policy_has("delaysec"));
        g_assert_cmpint(restart_policy_set(&policy, "DelaySec", "2", &reason), ==, 0);
        g_assert_cmpint(restart_policy_set(&policy, "HealthySec", "3", &reason), ==, 0);
        g_assert_cmpuint(policy.delay_usec, ==, 2 * USEC_PER_SEC);
        g_assert_cmpuint(policy.healthy_usec, ==, 3 * USEC_PER_SEC);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/restart-policy/values", test_values);
        g_test_add_func("/restart-policy/keys", test_keys);
        return g_test_run();
}
