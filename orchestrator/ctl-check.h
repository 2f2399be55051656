/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * xen-virtioctl check [--root=DIR] [GUEST|FILE]: argv[0] is "check". Returns the exit status: 0 if
 * nothing is wrong, 1 if something is, 2 if the command line is.
 */
int ctl_check(int argc, char **argv);
