/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/ring-model.h"

#include <glib.h>
#include <string.h>

static void start(RingModel *rings, const VirtioDevice *device)
{
        rings->started = true;
        for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
                rings->running[i] = device->queues[i].ready;
}

void ring_model_init(RingModel *rings, const VirtioDevice *device)
{
        memset(rings, 0, sizeof(*rings));
        if (virtio_is_running(device))
                start(rings, device);
}

static void event_apply(RingModel *rings, const VirtioDevice *device, VirtioEvent event)
{
        switch (event.type) {
        case VIRTIO_EVENT_START:
                g_assert_false(rings->started);
                start(rings, device);
                break;
        case VIRTIO_EVENT_RESET:
                rings->started = false;
                memset(rings->running, 0, sizeof(rings->running));
                break;
        case VIRTIO_EVENT_QUEUE_STOP:
                /* A device that broke before DRIVER_OK was never started. */
                g_assert_true(rings->running[event.queue] ||
                              (device->status & VIRTIO_STATUS_NEEDS_RESET));
                rings->running[event.queue] = false;
                break;
        case VIRTIO_EVENT_QUEUE_START:
                g_assert_true(rings->started);
                g_assert_false(rings->running[event.queue]);
                g_assert_true(virtio_has_feature(device, VIRTIO_F_RING_RESET));
                rings->running[event.queue] = true;
                break;
        case VIRTIO_EVENT_NOTIFY:
                g_assert_true(rings->running[event.queue]);
                break;
        case VIRTIO_EVENT_CONFIG_WRITE:
                g_assert_true(device->config_writable);
                g_assert_cmpuint(event.size, >, 0);
                g_assert_cmpuint(event.offset + event.size, <=, device->config_size);
                break;
        case VIRTIO_EVENT_BROKEN:
                g_assert_true(device->status & VIRTIO_STATUS_NEEDS_RESET);
                break;
        case VIRTIO_EVENT_NONE:
        default:
                break;
        }
}

void ring_model_apply(RingModel *rings, const VirtioDevice *device, VirtioEvent event)
{
        g_assert_cmpuint(event.type, <=, VIRTIO_EVENT_BROKEN);
        g_assert_cmpuint(event.queue, <, VIRTIO_QUEUES_MAX);
        rings->n_events[event.type]++;
        event_apply(rings, device, event);

        /* No ring runs that the driver does not think of as running, and the other way round. */
        for (unsigned int i = 0; i < device->n_queues; i++) {
                if (rings->started)
                        g_assert_cmpint(rings->running[i], ==, device->queues[i].ready);
                else
                        g_assert_false(rings->running[i]);
        }
        if (virtio_is_running(device))
                g_assert_true(rings->started);
}
