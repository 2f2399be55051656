/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/device-internal.h"
#include "frontend/local-queue.h"
#include "frontend/net-control.h"

/* A change's messages, beside those of the queues that it is about. */
#define CHANGE_MESSAGES 1

/* Many commands are served one by one, each after all else that is due: a timer's least. */
#define NEXT_USEC 1

/*
 * Whether a command would have to be carried out while its backend is told of other things; or
 * before a former process's connection is gone on with, whose backend knows of the pairs so far.
 */
static bool has_to_wait(const Device *device)
{
        switch (vhost_session_state(device->session)) {
        case VHOST_SESSION_STARTING:
        case VHOST_SESSION_STOPPING:
        case VHOST_SESSION_CHANGING:
                return true;
        case VHOST_SESSION_RUNNING:
                return false;
        case VHOST_SESSION_DISCONNECTED:
        case VHOST_SESSION_NEGOTIATING:
        case VHOST_SESSION_IDLE:
        case VHOST_SESSION_DRAINING:
        case _VHOST_SESSION_STATE_MAX:
        default:
                return device->state->kept.running;
        }
}

static unsigned int change_messages(uint16_t from, uint16_t to)
{
        return CHANGE_MESSAGES + NET_QUEUES_PER_PAIR * (from < to ? to - from : from - to);
}

/*
 * Returns whether the driver can be told that it is done. A backend that serves the rings is told
 * before: the command is answered when it is found once more. Any other one is when it starts.
 */
static bool pairs_change(Device *device, uint16_t n_pairs)
{
        VirtioDevice *virtio = &device->mmio->device;
        const bool is_served = vhost_session_state(device->session) == VHOST_SESSION_RUNNING;

        if (is_served) {
                if (device_start_put_off(device, change_messages(virtio->n_pairs, n_pairs)))
                        return false;
                vhost_session_pairs_set(device->session, n_pairs);
        }
        virtio_pairs_set(virtio, n_pairs);
        return !is_served;
}

/* Returns whether there is an answer yet. */
static bool command_carry_out(Device *device, const LocalRequest *request, uint8_t *ret_answer)
{
        const VirtioDevice *virtio = &device->mmio->device;
        const uint16_t n_pairs = net_control_pairs(virtio, request->bytes, request->size);

        *ret_answer = n_pairs > 0 ? NET_CONTROL_OK : NET_CONTROL_ERR;
        return n_pairs == 0 || n_pairs == virtio->n_pairs || pairs_change(device, n_pairs);
}

/* What the driver, or its memory, is not fit for. */
static void queue_break(Device *device, int error)
{
        if (log_limit_permit(&device->driver_limit, loop_now()))
                log_error_errno(&device->log, error, "cannot serve the control queue: %m");
        virtio_break(&device->mmio->device);
        device_interrupt(device);
}

void device_control_serve(Device *device)
{
        VirtioDevice *virtio = &device->mmio->device;
        const LocalQueue queue = { device->hypervisor, virtio, net_control_queue(virtio) };
        LocalRequest request;
        uint8_t answer;
        int r;

        if (queue.index == 0 || !virtio->queues[queue.index].ready || device->leaving ||
            !virtio_is_running(virtio) || has_to_wait(device))
                return;
        r = local_queue_take(&queue, &request);
        if (r > 0) {
                if (!command_carry_out(device, &request, &answer))
                        return;
                loop_timer_start(&device->control, NEXT_USEC);
                r = local_queue_answer(&queue, &request, answer);
        }
        if (r < 0) {
                queue_break(device, r);
        } else if (r > 0) {
                virtio_interrupt_raise(virtio, VIRTIO_INTERRUPT_QUEUE);
                device_interrupt(device);
        }
}

static void next_due(void *userdata)
{
        device_control_serve(userdata);
}

void device_control_init(Device *device)
{
        loop_timer_init(&device->control, device->loop, next_due, device);
}

void device_control_explain(const Device *device)
{
        const VhostOffer *offer = &device->offer;

        if (device->launch.config.net_queue_pairs < 2 ||
            (offer->features & (UINT64_C(1) << NET_F_MQ)))
                return;
        log_warning(&device->log, "the card has one pair of queues: %s",
                    offer->way == MEMORY_WAY_GRANTS || offer->way == MEMORY_WAY_SEEDED
                            ? "more take memory that is neither granted nor seeded"
                            : "its backend has no more");
}
