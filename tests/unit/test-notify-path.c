/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/notify-path.h"

#include <errno.h>
#include <glib.h>

#define UNTOUCHED _NOTIFY_PATH_MAX
#define HAS_BOTH  0, 0

typedef struct Case {
        const char *setting;
        int irqfd, ioeventfd;
        const char *release;
        NotifyPath path;
} Case;

static const Case cases[] = {
        /* By itself: what is known to be good, and never ioeventfd. */
        { NULL, HAS_BOTH, "7.3.4", NOTIFY_PATH_IRQFD },
        { "auto", HAS_BOTH, "7.3.4", NOTIFY_PATH_IRQFD },
        { "auto", HAS_BOTH, "6.12.107+deb13-arm64", NOTIFY_PATH_IRQFD },
        { "auto", HAS_BOTH, "6.12", NOTIFY_PATH_IRQFD },
        { "auto", HAS_BOTH, "6.12-rc1", NOTIFY_PATH_IRQFD },
        { "auto", HAS_BOTH, "10.0.1", NOTIFY_PATH_IRQFD },
        { "auto", HAS_BOTH, "6.11.99", NOTIFY_PATH_RELAY },
        { "auto", HAS_BOTH, "6.6.30", NOTIFY_PATH_RELAY },
        { "auto", HAS_BOTH, "5.99.1", NOTIFY_PATH_RELAY },

        /* A release that cannot be read is not known. */
        { "auto", HAS_BOTH, "", NOTIFY_PATH_RELAY },
        { "auto", HAS_BOTH, "7", NOTIFY_PATH_RELAY },
        { "auto", HAS_BOTH, "next-20260101", NOTIFY_PATH_RELAY },
        { "auto", HAS_BOTH, "v7.3", NOTIFY_PATH_RELAY },

        /* What the kernel does not have. */
        { "auto", -ENOTTY, -ENOTTY, "6.12.1", NOTIFY_PATH_RELAY },
        { "auto", -EOPNOTSUPP, -EOPNOTSUPP, "7.3.4", NOTIFY_PATH_RELAY },
        { "auto", 0, -ENOTTY, "7.3.4", NOTIFY_PATH_IRQFD },
        { "auto", -ENOTTY, 0, "7.3.4", NOTIFY_PATH_RELAY },
        { "auto", -EACCES, -EACCES, "7.3.4", NOTIFY_PATH_RELAY },

        /* The administrator knows better than the list, but not than the kernel. */
        { "relay", HAS_BOTH, "7.3.4", NOTIFY_PATH_RELAY },
        { "irqfd", HAS_BOTH, "7.3.4", NOTIFY_PATH_IRQFD },
        { "irqfd", HAS_BOTH, "6.6.0", NOTIFY_PATH_IRQFD },
        { "kernel", HAS_BOTH, "7.3.4", NOTIFY_PATH_KERNEL },
        { "kernel", HAS_BOTH, "", NOTIFY_PATH_KERNEL },
        { "kernel", 0, -ENOTTY, "7.3.4", NOTIFY_PATH_IRQFD },
        { "kernel", -EOPNOTSUPP, -EOPNOTSUPP, "7.3.4", NOTIFY_PATH_RELAY },
        { "irqfd", -EOPNOTSUPP, -EOPNOTSUPP, "7.3.4", NOTIFY_PATH_RELAY },
};

static void test_choose(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                NotifyProbe probe = { .irqfd = cases[i].irqfd, .ioeventfd = cases[i].ioeventfd };
                NotifyPath path = UNTOUCHED;

                g_test_message("case %zu", i);
                g_strlcpy(probe.release, cases[i].release, sizeof(probe.release));
                g_assert_cmpint(notify_path_choose(cases[i].setting, &probe, &path), ==, 0);
                g_assert_cmpint(path, ==, cases[i].path);
        }
}

static void test_bad_settings(void)
{
        const char *const settings[] = { "", "Auto", "auto ", "relayed", "ioeventfd", "1" };
        const NotifyProbe probe = { .release = "7.3.4" };

        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                NotifyPath path = UNTOUCHED;

                g_assert_cmpint(notify_path_choose(settings[i], &probe, &path), ==, -EINVAL);
                g_assert_cmpint(path, ==, UNTOUCHED);
        }
}

static void test_texts(void)
{
        for (NotifyPath path = 0; path < _NOTIFY_PATH_MAX; path++)
                g_assert_nonnull(notify_path_text(path));
        g_assert_cmpstr(notify_path_text(NOTIFY_PATH_RELAY), ==, "relayed");
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/notify-path/choose", test_choose);
        g_test_add_func("/notify-path/bad-settings", test_bad_settings);
        g_test_add_func("/notify-path/texts", test_texts);
        return g_test_run();
}
