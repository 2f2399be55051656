/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/virtio.h"

#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Largest ring that section 2.7 and 2.8 allow. */
#define QUEUE_SIZE_LIMIT 32768

static bool has_feature(const VirtioDevice *device, unsigned int bit)
{
        return device->driver_features & BIT(bit);
}

void virtio_offer(VirtioDevice *device, uint64_t features, uint16_t n_queues,
                  uint16_t queue_size_max, const void *config, uint32_t config_size)
{
        device->device_features = features | BIT(VIRTIO_F_VERSION_1);
        device->n_queues = n_queues;
        device->queue_size_max = queue_size_max;
        if (config_size != device->config_size || memcmp(device->config, config, config_size) != 0)
                device->config_generation++;
        memset(device->config, 0, sizeof(device->config));
        memcpy(device->config, config, config_size);
        device->config_size = config_size;
}

bool virtio_is_running(const VirtioDevice *device)
{
        return (device->status & VIRTIO_STATUS_DRIVER_OK) &&
               !(device->status & VIRTIO_STATUS_NEEDS_RESET);
}

void virtio_interrupt_raise(VirtioDevice *device, uint32_t cause)
{
        device->interrupt_status |= cause;
}

void virtio_interrupt_acknowledge(VirtioDevice *device, uint32_t causes)
{
        device->interrupt_status &= ~causes;
}

void virtio_break(VirtioDevice *device)
{
        device->status |= VIRTIO_STATUS_NEEDS_RESET;
        /* Section 2.1.2: a driver that is up is told by a configuration change. */
        if (device->status & VIRTIO_STATUS_DRIVER_OK)
                virtio_interrupt_raise(device, VIRTIO_INTERRUPT_CONFIG);
}

static VirtioEvent device_reset(VirtioDevice *device)
{
        const bool ran = device->status & VIRTIO_STATUS_DRIVER_OK;

        device->status = 0;
        device->driver_features = 0;
        device->interrupt_status = 0;
        memset(device->queues, 0, sizeof(device->queues));
        return (VirtioEvent){ .type = ran ? VIRTIO_EVENT_RESET : VIRTIO_EVENT_NONE };
}

/* Section 3.1.1 step 5, 6; 6.1: VERSION_1 and, where offered, ACCESS_PLATFORM are not optional. */
static bool features_acceptable(const VirtioDevice *device)
{
        const uint64_t required =
                device->device_features & (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM));

        return (device->driver_features & ~device->device_features) == 0 &&
               (device->driver_features & required) == required;
}

VirtioEvent virtio_status_write(VirtioDevice *device, uint8_t value)
{
        const uint8_t driver_bits = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                    VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK |
                                    VIRTIO_STATUS_FAILED;
        uint8_t set;

        if (value == 0)
                return device_reset(device);

        set = value & driver_bits & (uint8_t)~device->status;
        if ((set & VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(device))
                set &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        /* The driver may go on only with features that were agreed on. */
        if ((set & VIRTIO_STATUS_DRIVER_OK) &&
            !((device->status | set) & VIRTIO_STATUS_FEATURES_OK)) {
                set &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
                virtio_break(device);
        }
        device->status |= set;

        if (set & VIRTIO_STATUS_DRIVER_OK)
                return (VirtioEvent){ .type = virtio_is_running(device) ? VIRTIO_EVENT_START
                                                                        : VIRTIO_EVENT_BROKEN };
        return (VirtioEvent){ .type = VIRTIO_EVENT_NONE };
}

void virtio_driver_features_write(VirtioDevice *device, uint32_t half, uint32_t value)
{
        const unsigned int shift = half * 32;

        if (half > 1 || (device->status & VIRTIO_STATUS_FEATURES_OK))
                return;
        device->driver_features &= ~(UINT64_C(0xffffffff) << shift);
        device->driver_features |= (uint64_t)value << shift;
}

static bool area_acceptable(const VirtioDevice *device, uint64_t address, uint64_t length,
                            uint64_t alignment)
{
        return address % alignment == 0 &&
               guest_memory_contains(device->banks, device->n_banks, address, length);
}

/* Sizes and alignments of section 2.7 (split) and 2.8.10.1 (packed). */
static bool queue_acceptable(const VirtioDevice *device, const VirtioQueue *queue)
{
        const uint64_t n = queue->size;

        if (n == 0 || n > device->queue_size_max || n > QUEUE_SIZE_LIMIT)
                return false;

        if (has_feature(device, VIRTIO_F_RING_PACKED))
                return area_acceptable(device, queue->descriptor_area, 16 * n, 16) &&
                       area_acceptable(device, queue->driver_area, 4, 4) &&
                       area_acceptable(device, queue->device_area, 4, 4);

        /* Both rings have two bytes more than the driver must use: the event indexes. */
        return (n & (n - 1)) == 0 && area_acceptable(device, queue->descriptor_area, 16 * n, 16) &&
               area_acceptable(device, queue->driver_area, 6 + 2 * n, 2) &&
               area_acceptable(device, queue->device_area, 6 + 8 * n, 4);
}

VirtioEvent virtio_queue_ready_write(VirtioDevice *device, uint16_t index, bool ready)
{
        VirtioQueue *queue;

        if (index >= device->n_queues || ready == device->queues[index].ready)
                return (VirtioEvent){ .type = VIRTIO_EVENT_NONE };
        queue = &device->queues[index];

        if (!ready) {
                queue->ready = false;
                return (VirtioEvent){ .type = virtio_is_running(device) ? VIRTIO_EVENT_QUEUE_STOP
                                                                        : VIRTIO_EVENT_NONE,
                                      .queue = index };
        }
        /* After DRIVER_OK queues are only added by drivers that have RING_RESET. */
        if (!(device->status & VIRTIO_STATUS_FEATURES_OK) ||
            (device->status & VIRTIO_STATUS_DRIVER_OK) || !queue_acceptable(device, queue)) {
                virtio_break(device);
                return (VirtioEvent){ .type = VIRTIO_EVENT_BROKEN };
        }
        queue->ready = true;
        return (VirtioEvent){ .type = VIRTIO_EVENT_NONE };
}

VirtioEvent virtio_notify(const VirtioDevice *device, uint32_t queue)
{
        if (queue >= device->n_queues || !device->queues[queue].ready || !virtio_is_running(device))
                return (VirtioEvent){ .type = VIRTIO_EVENT_NONE };
        return (VirtioEvent){ .type = VIRTIO_EVENT_NOTIFY, .queue = (uint16_t)queue };
}
