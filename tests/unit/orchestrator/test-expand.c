/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "orchestrator/expand.h"

static const Variable variables[] = {
        { "domid", "5" },
        { "empty", "" },
        { "disk.path", "/srv/a, b%{domid}\"'$x;\\.img" },
        { "none", NULL },
};

static void check(const char *word, const char *expected)
{
        g_autofree char *expanded = NULL, *message = NULL;
        int r = expand(word, variables, G_N_ELEMENTS(variables), &expanded, &message);

        g_test_message("%s", word);
        g_assert_cmpint(r, ==, 0);
        g_assert_null(message);
        g_assert_cmpstr(expanded, ==, expected);
}

static void check_refused(const char *word, int expected, const char *part)
{
        g_autofree char *expanded = NULL, *message = NULL;
        int r = expand(word, variables, G_N_ELEMENTS(variables), &expanded, &message);

        g_test_message("%s", word);
        g_assert_cmpint(r, ==, expected);
        g_assert_null(expanded);
        g_assert_nonnull(message);
        g_assert_nonnull(strstr(message, part));
}

static void test_plain(void)
{
        check("", "");
        check("--socket", "--socket");
        check("$HOME ${x} `y` \"q\" \\n", "$HOME ${x} `y` \"q\" \\n");
        check("}{", "}{");
}

static void test_variables(void)
{
        check("%{domid}", "5");
        check("a%{domid}b%{domid}", "a5b5");
        check("[%{empty}]", "[]");
        check("%%", "%");
        check("%%{domid}", "%{domid}");
        check("100%%%{domid}%%", "100%5%");
}

/* The value comes out as it is, and is not looked at again. */
static void test_values_are_inert(void)
{
        check("%{disk.path}", "/srv/a, b%{domid}\"'$x;\\.img");
        check("filename=%{disk.path:qemu},x", "filename=/srv/a,, b%{domid}\"'$x;\\.img,x");
        check("%{domid:qemu}", "5");
}

/* A word with a value that may be missing, and is. */
static void test_left_out(void)
{
        static const char *const words[] = { "--x=%{none?}", "%{none?:qemu}", "%{domid}%{none?}" };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                g_autofree char *expanded = NULL, *message = NULL;

                g_assert_cmpint(
                        expand(words[i], variables, G_N_ELEMENTS(variables), &expanded, &message),
                        ==, EXPAND_LEFT_OUT);
                g_assert_cmpstr(expanded, ==, "");
                g_assert_null(message);
        }
        check("--x=%{domid?}", "--x=5");
        check("--x=%{empty?}", "--x=");
        check_refused("%{domidx?}", -EINVAL, "%{domidx?}");
        check_refused("%{none?}%{none}", -ENODATA, "%{none}");
        check_refused("%{none:qemu?}", -EINVAL, "unknown");
}

static void test_refused(void)
{
        check_refused("%", -EINVAL, "%%");
        check_refused("50%", -EINVAL, "%%");
        check_refused("%i", -EINVAL, "%i");
        check_refused("%{domid", -EINVAL, "}");
        check_refused("%{", -EINVAL, "}");
        check_refused("%{}", -EINVAL, "unknown variable %{}");
        check_refused("%{domidx}", -EINVAL, "%{domidx}");
        check_refused("%{DOMID}", -EINVAL, "%{DOMID}");
        check_refused("%{ domid}", -EINVAL, "unknown");
        check_refused("%{domid:json}", -EINVAL, "%{domid:json}");
        check_refused("%{domid:}", -EINVAL, "unknown");
        check_refused("%{:qemu}", -EINVAL, "unknown");
        check_refused("%{%{domid}}", -EINVAL, "unknown");
        check_refused("%{none}", -ENODATA, "%{none}");
        check_refused("%{none:qemu}", -ENODATA, "%{none}");
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/expand/plain", test_plain);
        g_test_add_func("/expand/variables", test_variables);
        g_test_add_func("/expand/values-are-inert", test_values_are_inert);
        g_test_add_func("/expand/left-out", test_left_out);
        g_test_add_func("/expand/refused", test_refused);
        return g_test_run();
}
