/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/device-internal.h"

#include <string.h>

#include "frontend/net-control.h"

static unsigned int queues_ready(const VirtioDevice *device)
{
        unsigned int n = 0;

        for (uint16_t queue = 0; queue < device->n_queues; queue++)
                n += device->queues[queue].ready;
        return n;
}

unsigned int device_start_messages(const Device *device)
{
        return START_LIMIT_DEVICE + START_LIMIT_QUEUE * queues_ready(&device->mmio->device);
}

bool device_start_put_off(Device *device, unsigned int messages)
{
        const uint64_t now = loop_now();
        const uint64_t wait = start_limit_take(&device->start_limit, now, messages);

        if (wait == 0)
                return false;
        if (log_limit_permit(&device->driver_limit, now))
                log_warning(&device->log, "the driver starts the device too often");
        loop_timer_start(&device->start, wait);
        return true;
}

static void driver_started(Device *device)
{
        device->request_logged = false;
        device_rings_start(device);
        device->start_held = vhost_session_state(device->session) == VHOST_SESSION_STARTING;
}

static bool is_stopping(const Device *device)
{
        const VhostSessionState state = vhost_session_state(device->session);

        return state == VHOST_SESSION_STOPPING || state == VHOST_SESSION_DRAINING;
}

/* Also of a driver that starts over before it was up: it may have seen what is no longer offered.
 */
static void driver_reset(Device *device)
{
        device->start_held = false;
        device->counters->counters.waiting = 0;
        kernel_notify_stop(&device->kernel_notify);
        /* Who has waited for this backend in vain does not wait again. */
        if (!is_stopping(device))
                device_hold_end(device);
        if (!vhost_session_stop(device->session))
                device_offer_apply(device);
}

static void driver_notified(Device *device, uint16_t queue)
{
        const VirtioDevice *virtio = &device->mmio->device;

        if (queue >= net_control_backend_queues(virtio)) {
                if (queue == net_control_queue(virtio))
                        device_control_serve(device);
                return;
        }
        /* While the backend is away the kick is lost; each ring is kicked once when it starts. */
        if (device->leaving || vhost_session_state(device->session) != VHOST_SESSION_RUNNING)
                return;
        device->kicks |= UINT64_C(1) << queue;
        if (!device->request_logged) {
                device->request_logged = true;
                if (log_limit_permit(&device->driver_limit, loop_now()))
                        log_full(LOG_INFO, &device->log, LOG_ID_FIRST_REQUEST, 0,
                                 "the guest's first request");
        }
}

static bool is_writable(const DeviceType *type, uint32_t offset, uint32_t size)
{
        return offset >= type->writable_offset &&
               offset + size <= (uint32_t)type->writable_offset + type->writable_size;
}

/* A field that is not the driver's gets its value back. */
static void config_written(Device *device, uint32_t offset, uint32_t size)
{
        const uint8_t *bytes = device->mmio->device.config + offset;
        const DeviceType *type = device->type;

        if (!is_writable(type, offset, size)) {
                device_offer_apply(device);
                return;
        }
        memcpy(device->offer.config + offset, bytes, size);
        vhost_session_config_write(device->session, offset, bytes, size);
        if (type->writable_selects)
                device->selecting = vhost_session_config_read(device->session);
}

static void event_handle(Device *device, VirtioEvent event)
{
        switch (event.type) {
        case VIRTIO_EVENT_NOTIFY:
                driver_notified(device, event.queue);
                break;
        case VIRTIO_EVENT_START:
                driver_started(device);
                break;
        case VIRTIO_EVENT_RESET:
                driver_reset(device);
                break;
        case VIRTIO_EVENT_QUEUE_START:
                vhost_session_queue_forget(device->session, event.queue);
                device_queue_start(device);
                break;
        case VIRTIO_EVENT_QUEUE_STOP:
                kernel_notify_queue_stop(&device->kernel_notify, event.queue);
                if (vhost_session_state(device->session) == VHOST_SESSION_RUNNING)
                        vhost_session_queue_stop(device->session, event.queue);
                break;
        case VIRTIO_EVENT_BROKEN:
                if (log_limit_permit(&device->driver_limit, loop_now()))
                        log_warning(&device->log, "the driver set up the device wrongly");
                if (device->mmio->device.status & VIRTIO_STATUS_DRIVER_OK)
                        device_interrupt(device);
                break;
        case VIRTIO_EVENT_CONFIG_WRITE:
                config_written(device, event.offset, event.size);
                break;
        case VIRTIO_EVENT_NONE:
        default:
                break;
        }
}

/* Whether the driver takes a queue back, whose memory is its own when it is answered. */
static bool takes_queue(const MmioAccess *access)
{
        return access->offset == VIRTIO_MMIO_QUEUE_RESET ||
               (access->offset == VIRTIO_MMIO_QUEUE_READY && access->data == 0);
}

/*
 * A write that takes the backend some time is carried out once; it waits, and so do other vCPUs'
 * writes, and is then repeated, which changes nothing more. While rings go on with another backend
 * the driver does not wait, unless it changes what is being started, or takes back what the one
 * before may still have: also if that was lost, or the write was carried out by a former process.
 */
static bool write_waits(const Device *device, const MmioAccess *access)
{
        switch (vhost_session_state(device->session)) {
        case VHOST_SESSION_STOPPING:
        case VHOST_SESSION_DRAINING:
                /* The next process kicks each ring. */
                return !device->hold_over &&
                       !(device->leaving && access->offset == VIRTIO_MMIO_QUEUE_NOTIFY);
        case VHOST_SESSION_CHANGING:
                return true;
        case VHOST_SESSION_STARTING:
                return device->start_held || access->offset == VIRTIO_MMIO_QUEUE_READY ||
                       access->offset == VIRTIO_MMIO_QUEUE_RESET;
        case VHOST_SESSION_DISCONNECTED:
        case VHOST_SESSION_NEGOTIATING:
                return takes_queue(access) && vhost_session_holder(device->session) != 0 &&
                       !device->hold_over;
        case VHOST_SESSION_IDLE:
        case VHOST_SESSION_RUNNING:
        case _VHOST_SESSION_STATE_MAX:
        default:
                return false;
        }
}

/* What it has started may take the backend some time. */
static MmioResult write_carry_out(Device *device, const MmioAccess *access)
{
        const VirtioEvent event =
                virtio_mmio_write(device->mmio, access->offset, access->size, access->data);

        event_handle(device, event);
        return write_waits(device, access) ? MMIO_WAIT : MMIO_DONE;
}

/* Whether the next answer is that of an access that is timed. */
static bool latency_is_due(const Device *device)
{
        return (device->counters->counters.requests + 1) % LATENCY_SAMPLING == 0;
}

MmioResult device_access(Device *device, const MmioAccess *access, uint64_t *ret_data)
{
        MmioResult result = MMIO_WAIT;

        if (latency_is_due(device))
                device->looked_usec = loop_now();
        if (!device->answering || (device->selecting && access->offset >= VIRTIO_MMIO_CONFIG))
                return MMIO_WAIT;
        if (access->is_read) {
                *ret_data = virtio_mmio_read(device->mmio, access->offset, access->size);
                return MMIO_DONE;
        }
        if (!write_waits(device, access))
                result = write_carry_out(device, access);
        if (result == MMIO_WAIT)
                device_hold_begin(device);
        return result;
}

void device_answered(Device *device)
{
        Counters *counters = &device->counters->counters;

        if (latency_is_due(device))
                counters_add_latency(counters, loop_now() - device->looked_usec);
        counters->requests++;
        if (device->kicks == 0) {
                counters->bad_accesses = device->mmio->n_bad_accesses;
                return;
        }
        for (uint64_t kicks = device->kicks; kicks != 0; kicks &= kicks - 1) {
                counters->kicks++;
                notify_kick(device->notify, (uint16_t)__builtin_ctzll(kicks));
        }
        device->kicks = 0;
}

/* A driver's reset may have been under way when the former process ended, or an interrupt. */
int device_serve(Device *device)
{
        const VirtioDevice *virtio = &device->mmio->device;

        if (virtio->status == 0)
                vhost_session_stop(device->session);
        if ((virtio->status & VIRTIO_STATUS_DRIVER_OK) && virtio_interrupt_causes(virtio) != 0)
                device_interrupt(device);
        vhost_session_open(device->session);
        /* A command may have been begun, once it is known with which connection to go on. */
        loop_timer_start(&device->control, 0);
        if (!device->answering)
                device_hold_begin(device);
        return 0;
}
