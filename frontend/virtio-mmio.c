/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/virtio-mmio.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/launch.h"

static const VirtioEvent no_event = { .type = VIRTIO_EVENT_NONE };

void virtio_mmio_init(VirtioMmio *mmio, const MemoryBank *banks, unsigned int n_banks)
{
        *mmio = (VirtioMmio){
                .magic = VIRTIO_MMIO_STATE_MAGIC,
                .version = VIRTIO_MMIO_STATE_VERSION,
                .size = sizeof(*mmio),
        };
        virtio_init(&mmio->device, banks, n_banks);
}

int virtio_mmio_check(const VirtioMmio *mmio)
{
        if (mmio->magic != VIRTIO_MMIO_STATE_MAGIC || mmio->version != VIRTIO_MMIO_STATE_VERSION ||
            mmio->size != sizeof(*mmio))
                return -EPROTO;
        return mmio->reserved == 0 && virtio_is_consistent(&mmio->device) ? 0 : -EINVAL;
}

/* The selected queue; NULL if the driver selected one that does not exist. */
static VirtioQueue *queue_selected(VirtioMmio *mmio)
{
        if (mmio->queue_sel >= mmio->device.n_queues)
                return NULL;
        return &mmio->device.queues[mmio->queue_sel];
}

/* The selected queue while the driver may set it up: not once it is ready. */
static VirtioQueue *queue_writable(VirtioMmio *mmio)
{
        VirtioQueue *queue = queue_selected(mmio);

        if (!queue || queue->ready) {
                mmio->n_bad_accesses++;
                return NULL;
        }
        return queue;
}

/* QueueReset is there only for drivers that have agreed on it. */
static bool queue_reset_exists(VirtioMmio *mmio)
{
        if (queue_selected(mmio) && virtio_has_feature(&mmio->device, VIRTIO_F_RING_RESET))
                return true;
        mmio->n_bad_accesses++;
        return false;
}

/* Section 4.2.2.2: bytes, halves and words, aligned; so none lies across the end of the space. */
static bool config_addressable(uint64_t offset, uint32_t size)
{
        return (size == 1 || size == 2 || size == 4) && offset % size == 0;
}

_Static_assert(VIRTIO_MMIO_RANGE_SIZE - VIRTIO_MMIO_CONFIG == VIRTIO_CONFIG_SIZE_MAX,
               "what lies in the range lies in the space");

static uint32_t config_read(VirtioMmio *mmio, uint64_t offset, uint32_t size)
{
        uint32_t value = 0;

        if (!config_addressable(offset, size)) {
                mmio->n_bad_accesses++;
                return 0;
        }
        /* What lies beyond the device's own configuration is zero. */
        memcpy(&value, mmio->device.config + offset, size);
        return le32toh(value);
}

static VirtioEvent config_write(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint32_t value)
{
        VirtioEvent event = no_event;

        if (config_addressable(offset, size))
                event = virtio_config_write(&mmio->device, (uint32_t)offset, size, value);
        if (event.type == VIRTIO_EVENT_NONE)
                mmio->n_bad_accesses++;
        return event;
}

static uint32_t features_half(uint64_t features, uint32_t half)
{
        return half < 2 ? (uint32_t)(features >> (half * 32)) : 0;
}

static uint32_t register_read(VirtioMmio *mmio, uint64_t offset)
{
        const VirtioDevice *device = &mmio->device;
        const VirtioQueue *queue = queue_selected(mmio);

        switch (offset) {
        case VIRTIO_MMIO_MAGIC_VALUE:
                return VIRTIO_MMIO_MAGIC;
        case VIRTIO_MMIO_VERSION:
                return 2;
        case VIRTIO_MMIO_DEVICE_ID:
                return device->device_id;
        case VIRTIO_MMIO_VENDOR_ID:
                return VIRTIO_MMIO_VENDOR;
        case VIRTIO_MMIO_DEVICE_FEATURES:
                return features_half(device->device_features, mmio->device_features_sel);
        case VIRTIO_MMIO_QUEUE_SIZE_MAX:
                return queue ? device->queue_size_max : 0;
        case VIRTIO_MMIO_QUEUE_READY:
                return queue ? queue->ready : 0;
        case VIRTIO_MMIO_INTERRUPT_STATUS:
                return virtio_interrupt_causes(device);
        case VIRTIO_MMIO_STATUS:
                return device->status;
        case VIRTIO_MMIO_QUEUE_RESET:
                /* The write is answered when the reset is over. */
                queue_reset_exists(mmio);
                return 0;
        case VIRTIO_MMIO_SHM_LEN_LOW:
        case VIRTIO_MMIO_SHM_LEN_HIGH:
        case VIRTIO_MMIO_SHM_BASE_LOW:
        case VIRTIO_MMIO_SHM_BASE_HIGH:
                /* Section 4.2.2: a region that does not exist has the length and the base -1. */
                return UINT32_MAX;
        case VIRTIO_MMIO_CONFIG_GENERATION:
                return device->config_generation;
        default:
                mmio->n_bad_accesses++;
                return 0;
        }
}

uint64_t virtio_mmio_read(VirtioMmio *mmio, uint64_t offset, uint32_t size)
{
        if (offset >= VIRTIO_MMIO_CONFIG && offset < VIRTIO_MMIO_RANGE_SIZE)
                return config_read(mmio, offset - VIRTIO_MMIO_CONFIG, size);
        if (size != 4) {
                mmio->n_bad_accesses++;
                return 0;
        }
        return register_read(mmio, offset);
}

static void low_half_write(uint64_t *address, uint32_t value)
{
        *address = (*address & ~UINT64_C(0xffffffff)) | value;
}

static void high_half_write(uint64_t *address, uint32_t value)
{
        *address = (*address & UINT64_C(0xffffffff)) | (uint64_t)value << 32;
}

static void queue_setup_write(VirtioMmio *mmio, uint64_t offset, uint32_t value)
{
        VirtioQueue *queue = queue_writable(mmio);

        if (!queue)
                return;

        switch (offset) {
        case VIRTIO_MMIO_QUEUE_SIZE:
                /* A size that is too large to store is as unacceptable as 0, later. */
                queue->size = value <= UINT16_MAX ? (uint16_t)value : 0;
                break;
        case VIRTIO_MMIO_QUEUE_DESC_LOW:
                low_half_write(&queue->descriptor_area, value);
                break;
        case VIRTIO_MMIO_QUEUE_DESC_HIGH:
                high_half_write(&queue->descriptor_area, value);
                break;
        case VIRTIO_MMIO_QUEUE_DRIVER_LOW:
                low_half_write(&queue->driver_area, value);
                break;
        case VIRTIO_MMIO_QUEUE_DRIVER_HIGH:
                high_half_write(&queue->driver_area, value);
                break;
        case VIRTIO_MMIO_QUEUE_DEVICE_LOW:
                low_half_write(&queue->device_area, value);
                break;
        default:
                high_half_write(&queue->device_area, value);
                break;
        }
}

static VirtioEvent queue_ready_write(VirtioMmio *mmio, uint32_t value)
{
        if (!queue_selected(mmio)) {
                mmio->n_bad_accesses++;
                return no_event;
        }
        return virtio_queue_ready_write(&mmio->device, (uint16_t)mmio->queue_sel, value & 1);
}

static VirtioEvent queue_reset_write(VirtioMmio *mmio, uint32_t value)
{
        if (!queue_reset_exists(mmio) || !(value & 1))
                return no_event;
        return virtio_queue_reset(&mmio->device, (uint16_t)mmio->queue_sel);
}

static VirtioEvent register_write(VirtioMmio *mmio, uint64_t offset, uint32_t value)
{
        switch (offset) {
        case VIRTIO_MMIO_QUEUE_NOTIFY:
                return virtio_notify(&mmio->device, value);
        case VIRTIO_MMIO_INTERRUPT_ACK:
                virtio_interrupt_acknowledge(&mmio->device, value);
                return no_event;
        case VIRTIO_MMIO_STATUS:
                return virtio_status_write(&mmio->device, (uint8_t)value);
        case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
                mmio->device_features_sel = value;
                return no_event;
        case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
                mmio->driver_features_sel = value;
                return no_event;
        case VIRTIO_MMIO_DRIVER_FEATURES:
                virtio_driver_features_write(&mmio->device, mmio->driver_features_sel, value);
                return no_event;
        case VIRTIO_MMIO_QUEUE_SEL:
                mmio->queue_sel = value;
                return no_event;
        case VIRTIO_MMIO_QUEUE_READY:
                return queue_ready_write(mmio, value);
        case VIRTIO_MMIO_QUEUE_RESET:
                return queue_reset_write(mmio, value);
        case VIRTIO_MMIO_QUEUE_SIZE:
        case VIRTIO_MMIO_QUEUE_DESC_LOW:
        case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        case VIRTIO_MMIO_QUEUE_DRIVER_LOW:
        case VIRTIO_MMIO_QUEUE_DRIVER_HIGH:
        case VIRTIO_MMIO_QUEUE_DEVICE_LOW:
        case VIRTIO_MMIO_QUEUE_DEVICE_HIGH:
                queue_setup_write(mmio, offset, value);
                return no_event;
        case VIRTIO_MMIO_SHM_SEL:
                return no_event;
        default:
                mmio->n_bad_accesses++;
                return no_event;
        }
}

VirtioEvent virtio_mmio_write(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint64_t value)
{
        if (offset >= VIRTIO_MMIO_CONFIG && offset < VIRTIO_MMIO_RANGE_SIZE)
                return config_write(mmio, offset - VIRTIO_MMIO_CONFIG, size, (uint32_t)value);
        if (size != 4) {
                mmio->n_bad_accesses++;
                return no_event;
        }
        return register_write(mmio, offset, (uint32_t)value);
}
