/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/notify-path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const settings[_NOTIFY_PATH_MAX] = {
        [NOTIFY_PATH_RELAY] = "relay",
        [NOTIFY_PATH_IRQFD] = "irqfd",
        [NOTIFY_PATH_KERNEL] = "kernel",
};

static const char *const texts[_NOTIFY_PATH_MAX] = {
        [NOTIFY_PATH_RELAY] = "relayed",
        [NOTIFY_PATH_IRQFD] = "interrupts by the kernel (irqfd)",
        [NOTIFY_PATH_KERNEL] = "by the kernel (irqfd, ioeventfd)",
};

/*
 * The best path that is known to be good, by the first release that has it, in ascending order.
 *
 * irqfd: until 6.11 it slept under a spinlock and used what it had freed.
 *
 * ioeventfd is in no release's row. Up to 6.12 it moves a request's state backwards, for which Xen
 * crashes the guest. Later ones (7.3.4) do not, but nothing takes it back when a process is killed:
 * its event channels stay bound, so that no other process can serve the guest (seen in the lab),
 * and for a moment the handler works on a page that has been unmapped (drivers/xen/privcmd.c: the
 * page goes with the memory map, the channel with the descriptors, later). Nor does it keep this
 * process asleep: an event channel tells all who are bound to it, and waits until each has unmasked
 * it.
 */
static const struct {
        unsigned int major, minor;
        NotifyPath best;
} known_good[] = {
        { 0, 0, NOTIFY_PATH_RELAY },
        { 6, 12, NOTIFY_PATH_IRQFD },
};

static NotifyPath release_best(const char *release)
{
        NotifyPath best = NOTIFY_PATH_RELAY;
        unsigned int major, minor;

        if (sscanf(release, "%4u.%4u", &major, &minor) != 2)
                return best;
        for (size_t i = 0; i < ARRAY_SIZE(known_good); i++) {
                if (major > known_good[i].major ||
                    (major == known_good[i].major && minor >= known_good[i].minor))
                        best = known_good[i].best;
        }
        return best;
}

/* ioeventfd alone is of no use: the process would still be woken for each call. */
static NotifyPath kernel_best(const NotifyProbe *probe)
{
        if (probe->irqfd < 0)
                return NOTIFY_PATH_RELAY;
        return probe->ioeventfd < 0 ? NOTIFY_PATH_IRQFD : NOTIFY_PATH_KERNEL;
}

static int setting_best(const char *setting, const char *release, NotifyPath *ret_path)
{
        if (!setting || strcmp(setting, "auto") == 0) {
                *ret_path = release_best(release);
                return 0;
        }
        for (NotifyPath path = 0; path < _NOTIFY_PATH_MAX; path++) {
                if (strcmp(setting, settings[path]) == 0) {
                        *ret_path = path;
                        return 0;
                }
        }
        return -EINVAL;
}

int notify_path_choose(const char *setting, const NotifyProbe *probe, NotifyPath *ret_path)
{
        const NotifyPath possible = kernel_best(probe);
        NotifyPath wanted;
        int r;

        r = setting_best(setting, probe->release, &wanted);
        if (r < 0)
                return r;
        *ret_path = wanted < possible ? wanted : possible;
        return 0;
}

const char *notify_path_text(NotifyPath path)
{
        return texts[path];
}
