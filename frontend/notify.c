/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/notify.h"

#include <errno.h>
#include <sys/eventfd.h>

struct Notify {
        int kick_fds[VIRTIO_QUEUES_MAX];
        int call_fd;
        Loop *loop;
        DescriptorStore *store;
        LoopReady called;
        void *userdata;
};

static void call_ready(void *userdata)
{
        const Notify *notify = userdata;
        uint64_t count;

        /* However often it was called: the driver looks at all queues. */
        if (read(notify->call_fd, &count, sizeof(count)) == sizeof(count))
                notify->called(notify->userdata);
}

/* The former process's, or a new one. Returns -1 with errno. */
static int eventfd_get(DescriptorStore *store, const char *name)
{
        int fd = store ? descriptor_store_take(store, name) : -1;

        if (fd >= 0)
                return fd;
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd >= 0 && store)
                descriptor_store_put(store, name, fd);
        return fd;
}

int notify_new(Loop *loop, DescriptorStore *store, LoopReady called, void *userdata,
               Notify **ret_notify)
{
        Notify *notify;
        int r = 0;

        notify = calloc(1, sizeof(*notify));
        if (!notify)
                return -ENOMEM;
        for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
                notify->kick_fds[i] = -1;
        notify->loop = loop;
        notify->store = store;
        notify->called = called;
        notify->userdata = userdata;

        notify->call_fd = eventfd_get(store, STORE_CALL);
        if (notify->call_fd < 0)
                r = -errno;
        if (r >= 0)
                r = loop_watch(loop, notify->call_fd, call_ready, notify);
        if (r < 0) {
                notify_free(notify);
                return r;
        }
        *ret_notify = notify;
        return 0;
}

Notify *notify_free(Notify *notify)
{
        if (!notify)
                return NULL;
        loop_unwatch(notify->loop, notify->call_fd);
        fd_closep(&notify->call_fd);
        for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
                fd_closep(&notify->kick_fds[i]);
        free(notify);
        return NULL;
}

int notify_prepare(Notify *notify, uint16_t n_queues)
{
        for (uint16_t i = 0; i < n_queues && i < VIRTIO_QUEUES_MAX; i++) {
                if (notify->kick_fds[i] >= 0)
                        continue;
                notify->kick_fds[i] = eventfd_get(notify->store, descriptor_store_kick(i).text);
                if (notify->kick_fds[i] < 0)
                        return -errno;
        }
        return 0;
}

const int *notify_kick_fds(const Notify *notify)
{
        return notify->kick_fds;
}

int notify_call_fd(const Notify *notify)
{
        return notify->call_fd;
}

void notify_call_watch(Notify *notify, bool watch)
{
        loop_watch_enable(notify->loop, notify->call_fd, watch);
}

void notify_kick(const Notify *notify, uint16_t queue)
{
        const uint64_t one = 1;

        if (write(notify->kick_fds[queue], &one, sizeof(one)) < 0) {
                /* EAGAIN: the counter is full, so a kick is pending. Nothing else can happen. */
        }
}
