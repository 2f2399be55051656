/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/ctl-check.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/check.h"

enum {
        EXIT_ALL_RIGHT = 0,
        EXIT_WRONG = 1,
        EXIT_USAGE = 2,
};

/* A file by its path, or by its name in this folder; everything else is a guest. */
static bool is_file(const char *argument)
{
        return strchr(argument, '/') || g_file_test(argument, G_FILE_TEST_IS_REGULAR);
}

int ctl_check(int argc, char **argv)
{
        g_autoptr(GOptionContext) context = g_option_context_new("[GUEST | XL.CFG]");
        g_autoptr(GError) error = NULL;
        g_autofree char *root = NULL;
        g_autoptr(Check) check = NULL;
        const GOptionEntry entries[] = {
                { "root", 0, 0, G_OPTION_ARG_FILENAME, &root, "Where the configuration lies",
                  "DIR" },
                { NULL },
        };

        g_set_prgname("xen-virtioctl check");
        g_option_context_set_summary(
                context, "Says what the configuration would run, and what is wrong with it.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                fprintf(stderr, "xen-virtioctl: %s\n", error->message);
                return EXIT_USAGE;
        }
        if (argc > 2) {
                fputs("xen-virtioctl: check takes one guest or file\n", stderr);
                return EXIT_USAGE;
        }

        check = check_new(root ? root : "");
        if (argc < 2)
                check_everything(check);
        else if (is_file(argv[1]))
                check_xl_config(check, argv[1]);
        else
                check_guest(check, argv[1]);
        fputs(check->output->str, stdout);
        fputs(check->problems->str, stderr);
        return check->n_problems > 0 ? EXIT_WRONG : EXIT_ALL_RIGHT;
}
