/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "orchestrator/check.h"
#include "orchestrator/ctl.h"

/* A file by its path, or by its name in this folder; everything else is a guest. */
static bool is_file(const char *argument)
{
        return strchr(argument, '/') || g_file_test(argument, G_FILE_TEST_IS_REGULAR);
}

int ctl_check(const Ctl *ctl)
{
        g_autoptr(Check) check = check_new(ctl->root ? ctl->root : "");

        if (!ctl->argument)
                check_everything(check);
        else if (is_file(ctl->argument))
                check_xl_config(check, ctl->argument);
        else
                check_guest(check, ctl->argument);
        fputs(check->output->str, stdout);
        fputs(check->problems->str, stderr);
        return check->n_problems > 0 ? CTL_FAILED : CTL_OK;
}
