/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/kernel-notify.h"

#include <errno.h>
#include <systemd/sd-daemon.h>

#include "frontend/net-control.h"

#define BIT(n) (UINT64_C(1) << (n))

static void path_set(KernelNotify *kernel, NotifyPath path)
{
        kernel->path = path;
        log_full(LOG_INFO, kernel->log, LOG_ID_NOTIFY_PATH, 0, "notifications: %s",
                 notify_path_text(path));
        sd_notifyf(0, "STATUS=Notifications: %s", notify_path_text(path));
}

void kernel_notify_choose(KernelNotify *kernel, const NotifyProbe *probe)
{
        const char *setting = getenv(KERNEL_NOTIFY_ENVIRONMENT);
        NotifyPath path = NOTIFY_PATH_RELAY;

        if (notify_path_choose(setting, probe, &path) < 0)
                log_warning(kernel->log, KERNEL_NOTIFY_ENVIRONMENT "=%s means nothing", setting);
        path_set(kernel, path);
}

static void refused(KernelNotify *kernel, const char *what, int error, NotifyPath path_left)
{
        log_full(LOG_WARNING, kernel->log, NULL, error, "the kernel refuses an %s: %m", what);
        path_set(kernel, path_left);
}

static void call_bind(KernelNotify *kernel)
{
        const int fd = notify_call_fd(kernel->notify);
        int r = hypervisor_call_bind(kernel->hypervisor, fd, kernel->irq);

        /* A former process's binding lives as long as its descriptor, which we may have. */
        if (r == -EBUSY) {
                hypervisor_call_unbind(kernel->hypervisor, fd);
                r = hypervisor_call_bind(kernel->hypervisor, fd, kernel->irq);
        }
        if (r < 0) {
                refused(kernel, "irqfd", r, NOTIFY_PATH_RELAY);
                return;
        }
        kernel->call_bound = true;
        notify_call_watch(kernel->notify, false);
        virtio_interrupts_unseen(kernel->device, true);
}

static void call_unbind(KernelNotify *kernel)
{
        if (!kernel->call_bound)
                return;
        hypervisor_call_unbind(kernel->hypervisor, notify_call_fd(kernel->notify));
        kernel->call_bound = false;
        virtio_interrupts_unseen(kernel->device, false);
        notify_call_watch(kernel->notify, true);
}

static void kick_unbind(KernelNotify *kernel, uint16_t queue)
{
        if (!(kernel->kicks_bound & BIT(queue)))
                return;
        hypervisor_kick_unbind(kernel->hypervisor, kernel->base, queue,
                               notify_kick_fds(kernel->notify)[queue]);
        kernel->kicks_bound &= ~BIT(queue);
}

static void kicks_unbind(KernelNotify *kernel)
{
        for (uint16_t queue = 0; queue < VIRTIO_QUEUES_MAX; queue++)
                kick_unbind(kernel, queue);
}

static void kicks_bind(KernelNotify *kernel)
{
        const VirtioDevice *device = kernel->device;

        for (uint16_t queue = 0; queue < net_control_backend_queues(device); queue++) {
                int r;

                if (!device->queues[queue].ready)
                        continue;
                r = hypervisor_kick_bind(kernel->hypervisor, kernel->base, queue,
                                         notify_kick_fds(kernel->notify)[queue]);
                if (r < 0) {
                        kicks_unbind(kernel);
                        refused(kernel, "ioeventfd", r, NOTIFY_PATH_IRQFD);
                        return;
                }
                kernel->kicks_bound |= BIT(queue);
        }
}

void kernel_notify_start(KernelNotify *kernel)
{
        if (kernel->path >= NOTIFY_PATH_IRQFD && !kernel->call_bound)
                call_bind(kernel);
        if (kernel->path >= NOTIFY_PATH_KERNEL && kernel->kicks_bound == 0)
                kicks_bind(kernel);
}

void kernel_notify_queue_stop(KernelNotify *kernel, uint16_t queue)
{
        kick_unbind(kernel, queue);
}

void kernel_notify_stop(KernelNotify *kernel)
{
        kicks_unbind(kernel);
        call_unbind(kernel);
}
