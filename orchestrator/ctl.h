/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the commands of xen-virtioctl share. Each has a file of its own, ctl-COMMAND.c. */

#include <stdbool.h>

/* The exit status of xen-virtioctl(1). */
enum {
        CTL_OK = 0,
        CTL_FAILED = 1, /* there is no such device, or something is wrong with what was looked at */
        CTL_WRONG_USAGE = 2,
        CTL_NO_DAEMON = 3,
        CTL_NOT_PERMITTED = 4,
};

/* The command line. */
typedef struct Ctl {
        const char *run_directory; /* with the control socket */
        bool json;
        bool color; /* standard output is a terminal, and nobody has asked for none */
        bool backend, frontend;
        const char *root;     /* of the configuration; NULL: the host's */
        const char *argument; /* a device; of check a guest or a file; NULL: none */
} Ctl;

/* The commands. Each returns the exit status, and has said on standard error what was wrong. */
int ctl_list(const Ctl *ctl);
int ctl_show(const Ctl *ctl);
int ctl_events(const Ctl *ctl);
int ctl_restart(const Ctl *ctl);
int ctl_doctor(const Ctl *ctl);
int ctl_metrics(const Ctl *ctl);
int ctl_check(const Ctl *ctl);
