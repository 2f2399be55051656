/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lets the kernel pass on what it can of a device's notifications, while its rings run, so that
 * this process sleeps through it. What the kernel cannot or will not do is relayed (notify.h).
 */

#include <stdint.h>

#include "common/log.h"
#include "common/macros.h"
#include "frontend/hypervisor.h"
#include "frontend/notify-path.h"
#include "frontend/notify.h"
#include "frontend/virtio.h"

/* The environment variable that notify_path_choose() takes its setting from. */
#define KERNEL_NOTIFY_ENVIRONMENT "XEN_VIRTIO_NOTIFY"

typedef struct KernelNotify {
        Hypervisor *hypervisor; /* borrowed, as all of these */
        Notify *notify;
        VirtioDevice *device;
        const LogContext *log;
        uint64_t base; /* of the device's registers, guest-physical */
        uint32_t irq;
        NotifyPath path; /* lowered, for good, when the kernel refuses something */
        bool call_bound;
        uint64_t kicks_bound; /* bit n: queue n */
} KernelNotify;

/*
 * Chooses the path, after what hypervisor_notify_probe() said, and says so. The other members are
 * set by the caller before.
 */
void kernel_notify_choose(KernelNotify *kernel, const NotifyProbe *probe);

/*
 * The rings that are ready run: binds their kicks, and the call. A refusal is logged once; what is
 * not bound is relayed.
 */
void kernel_notify_start(KernelNotify *kernel);

/*
 * To be called before a ring, or all of them, is stopped. After that the kernel does nothing more
 * for it, and a call that it passed on before is still a cause that the driver can read.
 */
void kernel_notify_queue_stop(KernelNotify *kernel, uint16_t queue);
void kernel_notify_stop(KernelNotify *kernel);
