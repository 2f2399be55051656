/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "orchestrator/sandbox-setting.h"

static const Variable variables[] = {
        { "path", "/srv/a b:%i\"\\" },
        { "id", "5%" },
        { "none", NULL },
};

static void check(const char *setting, const char *value, const char *expected)
{
        g_autofree char *text = NULL, *message = NULL;
        int i = sandbox_setting_find(setting);

        g_test_message("%s=%s", setting, value);
        g_assert_cmpint(i, >=, 0);
        g_assert_cmpint(sandbox_setting_expand((unsigned int)i, value, variables,
                                               G_N_ELEMENTS(variables), &text, &message),
                        ==, 0);
        g_assert_cmpstr(text, ==, expected);
}

static void test_names(void)
{
        g_assert_cmpstr(sandbox_setting_name((unsigned int)sandbox_setting_find("BindPaths")), ==,
                        "BindPaths");
        g_assert_cmpint(sandbox_setting_find("bindPaths"), <, 0);
        g_assert_cmpint(sandbox_setting_find(""), <, 0);
        /* Ours to decide, or no part of a sandbox. */
        g_assert_cmpint(sandbox_setting_find("ExecStart"), <, 0);
        g_assert_cmpint(sandbox_setting_find("ExecStartPre"), <, 0);
        g_assert_cmpint(sandbox_setting_find("Restart"), <, 0);
        g_assert_cmpint(sandbox_setting_find("Slice"), <, 0);
}

static void test_plain(void)
{
        check("PrivateNetwork", "no", "no");
        check("IPAddressDeny", "", "");
        check("SystemCallFilter", "~@mount  \tcapset", "~@mount capset");
        check("TemporaryFileSystem", "/a:ro \"/b c\"", "/a:ro \"/b c\"");
        check("LimitNOFILE", "5%%", "5%%");
}

static void test_variables(void)
{
        check("BindPaths", "/x %{path}:/y", "/x \"/srv/a b:%%i\\\"\\\\:/y\"");
        check("BindPaths", "%{none?} /x", "/x");
        /* One path, not a list: a quote would be part of it. */
        check("NetworkNamespacePath", "/run/netns/%{id}", "/run/netns/5%%");
}

static void test_missing(void)
{
        g_autofree char *text = NULL, *message = NULL;

        g_assert_cmpint(sandbox_setting_expand((unsigned int)sandbox_setting_find("BindPaths"),
                                               "/x %{none}", variables, G_N_ELEMENTS(variables),
                                               &text, &message),
                        ==, -ENODATA);
        g_assert_null(text);
        g_assert_nonnull(strstr(message, "%{none}"));
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sandbox-setting/names", test_names);
        g_test_add_func("/sandbox-setting/plain", test_plain);
        g_test_add_func("/sandbox-setting/variables", test_variables);
        g_test_add_func("/sandbox-setting/missing", test_missing);
        return g_test_run();
}
