/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which way notifications go between driver and backend: a pure decision from what the kernel has,
 * what is known of its release, and what the administrator wants.
 */

#include "common/macros.h"

typedef enum NotifyPath {
        NOTIFY_PATH_RELAY,  /* kicks and calls both pass through this process */
        NOTIFY_PATH_IRQFD,  /* a call becomes an interrupt in the kernel; kicks are relayed */
        NOTIFY_PATH_KERNEL, /* and the kernel answers QUEUE_NOTIFY: irqfd and ioeventfd */
        _NOTIFY_PATH_MAX,
} NotifyPath;

#define NOTIFY_RELEASE_SIZE 65 /* of struct utsname */

/*
 * What the kernel said to the ioctls IRQFD and IOEVENTFD of /dev/xen/privcmd: 0 if it has them,
 * else a negative errno; -ENOTTY before Linux 6.6 and 6.8, -EOPNOTSUPP where it was built without
 * CONFIG_XEN_PRIVCMD_EVENTFD.
 */
typedef struct NotifyProbe {
        int irqfd;
        int ioeventfd;
        char release[NOTIFY_RELEASE_SIZE];
} NotifyProbe;

/*
 * Chooses the path. setting is "auto" (as is NULL): the best that the kernel has and that is known
 * to be good in its release; or "relay", "irqfd", "kernel": at most that one, whatever is known of
 * the release. Returns 0, or -EINVAL for another setting.
 */
int notify_path_choose(const char *setting, const NotifyProbe *probe,
                       NotifyPath *ret_path) _warn_unused_;

/* What people are told, "interrupts by the kernel (irqfd)". */
const char *notify_path_text(NotifyPath path);
