/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/virtio.h"

#include <endian.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Largest ring that section 2.7 and 2.8 allow. */
#define QUEUE_SIZE_LIMIT 32768

/* Device ids that a launch file can name (common/launch.h). */
#define DEVICE_ID_MAX 63

/* The status bits that the driver sets. */
#define DRIVER_BITS                                                                                \
        (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |              \
         VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

static const VirtioEvent no_event = { .type = VIRTIO_EVENT_NONE };

bool virtio_has_feature(const VirtioDevice *device, unsigned int bit)
{
        return (device->status & VIRTIO_STATUS_FEATURES_OK) && (device->driver_features & BIT(bit));
}

void virtio_init(VirtioDevice *device, const MemoryBank *banks, unsigned int n_banks)
{
        *device = (VirtioDevice){ .n_banks = n_banks };
        for (unsigned int i = 0; i < n_banks; i++)
                device->banks[i] = banks[i];
}

/* Returns whether anything is different. */
static bool config_set(VirtioDevice *device, const void *config, uint32_t size)
{
        if (size == device->config_size && memcmp(device->config, config, size) == 0)
                return false;
        memset(device->config, 0, sizeof(device->config));
        memcpy(device->config, config, size);
        device->config_size = size;
        device->config_generation++;
        return true;
}

void virtio_offer(VirtioDevice *device, uint64_t features, uint16_t n_queues,
                  uint16_t queue_size_max, const void *config, uint32_t config_size)
{
        device->device_features =
                (features | BIT(VIRTIO_F_VERSION_1)) & ~BIT(VIRTIO_F_NOTIFICATION_DATA);
        device->n_queues = n_queues;
        device->queue_size_max =
                queue_size_max < QUEUE_SIZE_LIMIT ? queue_size_max : QUEUE_SIZE_LIMIT;
        /* A driver may write to them before its time, also to those that are no longer there. */
        memset(device->queues, 0, sizeof(device->queues));
        device->control_queue = device->n_pairs = 0;
        config_set(device, config, config_size);
}

void virtio_control_queue_set(VirtioDevice *device, uint16_t queue)
{
        device->control_queue = (uint8_t)queue;
        device->n_pairs = 1;
}

void virtio_pairs_set(VirtioDevice *device, uint16_t n_pairs)
{
        device->n_pairs = (uint8_t)n_pairs;
}

bool virtio_config_change(VirtioDevice *device, const void *config, uint32_t size)
{
        if (!config_set(device, config, size) || !(device->status & VIRTIO_STATUS_DRIVER_OK))
                return false;
        virtio_interrupt_raise(device, VIRTIO_INTERRUPT_CONFIG);
        return true;
}

void virtio_config_set_writable(VirtioDevice *device, bool writable)
{
        device->config_writable = writable;
}

VirtioEvent virtio_config_write(VirtioDevice *device, uint32_t offset, uint32_t size,
                                uint32_t value)
{
        const uint32_t bytes = htole32(value);

        if (!device->config_writable || size > device->config_size ||
            offset > device->config_size - size)
                return no_event;
        memcpy(device->config + offset, &bytes, size);
        return (VirtioEvent){ .type = VIRTIO_EVENT_CONFIG_WRITE, .offset = offset, .size = size };
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

void virtio_interrupts_unseen(VirtioDevice *device, bool unseen)
{
        /* The last interrupt may still be on its way to a driver that is going to read its cause.
         */
        if (device->interrupts_unseen && !unseen)
                virtio_interrupt_raise(device, VIRTIO_INTERRUPT_QUEUE);
        device->interrupts_unseen = unseen;
}

uint32_t virtio_interrupt_causes(const VirtioDevice *device)
{
        return device->interrupt_status | (device->interrupts_unseen ? VIRTIO_INTERRUPT_QUEUE : 0);
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
        const bool was_new = device->status == 0;

        device->status = 0;
        device->driver_features = 0;
        device->interrupt_status = 0;
        device->interrupts_unseen = 0;
        device->n_pairs = device->control_queue > 0;
        memset(device->queues, 0, sizeof(device->queues));
        return (VirtioEvent){ .type = was_new ? VIRTIO_EVENT_NONE : VIRTIO_EVENT_RESET };
}

/*
 * Section 3.1.1 step 5, 6; 6.1: VERSION_1 and, where offered, ACCESS_PLATFORM are not optional. A
 * device that was not offered yet has no VERSION_1 to choose.
 */
static bool features_acceptable(const VirtioDevice *device)
{
        const uint64_t required =
                BIT(VIRTIO_F_VERSION_1) | (device->device_features & BIT(VIRTIO_F_ACCESS_PLATFORM));

        return (device->driver_features & ~device->device_features) == 0 &&
               (device->driver_features & required) == required;
}

VirtioEvent virtio_status_write(VirtioDevice *device, uint8_t value)
{
        uint8_t set;

        if (value == 0)
                return device_reset(device);

        set = value & DRIVER_BITS & (uint8_t)~device->status;
        if ((set & VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(device))
                set &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        device->status |= set & (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
        if (!(set & VIRTIO_STATUS_DRIVER_OK))
                return no_event;

        /* The driver may go on only with features that were agreed on. */
        if (device->status & VIRTIO_STATUS_FEATURES_OK)
                device->status |= VIRTIO_STATUS_DRIVER_OK;
        if (virtio_is_running(device))
                return (VirtioEvent){ .type = VIRTIO_EVENT_START };
        /* Also what broke while no driver listened is told now. */
        virtio_break(device);
        return (VirtioEvent){ .type = VIRTIO_EVENT_BROKEN };
}

void virtio_driver_features_write(VirtioDevice *device, uint32_t half, uint32_t value)
{
        const unsigned int shift = half * 32;

        if (half > 1 || (device->status & VIRTIO_STATUS_FEATURES_OK))
                return;
        device->driver_features &= ~(UINT64_C(0xffffffff) << shift);
        device->driver_features |= (uint64_t)value << shift;
}

/* Sizes and alignments of section 2.7 (split) and 2.8.10.1 (packed). */
void virtio_queue_areas(const VirtioDevice *device, const VirtioQueue *queue,
                        VirtioArea ret_areas[VIRTIO_QUEUE_AREAS])
{
        const bool packed = virtio_has_feature(device, VIRTIO_F_RING_PACKED);
        const uint64_t n = queue->size;

        ret_areas[0] = (VirtioArea){ queue->descriptor_area, 16 * n, 16 };
        /* Both split rings have two bytes more than the driver must use: the event indexes. */
        ret_areas[1] = (VirtioArea){ queue->driver_area, packed ? 4 : 6 + 2 * n, packed ? 4 : 2 };
        ret_areas[2] = (VirtioArea){ queue->device_area, packed ? 4 : 6 + 8 * n, 4 };
}

static bool queue_acceptable(const VirtioDevice *device, const VirtioQueue *queue)
{
        const uint64_t n = queue->size;
        VirtioArea areas[VIRTIO_QUEUE_AREAS];

        if (n == 0 || n > device->queue_size_max)
                return false;
        if (!virtio_has_feature(device, VIRTIO_F_RING_PACKED) && (n & (n - 1)) != 0)
                return false;
        virtio_queue_areas(device, queue, areas);
        for (unsigned int i = 0; i < VIRTIO_QUEUE_AREAS; i++) {
                if (areas[i].address % areas[i].alignment != 0 ||
                    !guest_memory_contains(device->banks, device->n_banks, areas[i].address,
                                           areas[i].length))
                        return false;
        }
        return true;
}

/* Once the driver is up, only a queue that was reset may be started (section 2.6.1.2). */
static bool queue_startable(const VirtioDevice *device, const VirtioQueue *queue)
{
        if (device->status & VIRTIO_STATUS_DRIVER_OK)
                return virtio_is_running(device) && queue->reset;
        return device->status & VIRTIO_STATUS_FEATURES_OK;
}

static VirtioEvent queue_start(VirtioDevice *device, uint16_t index)
{
        VirtioQueue *queue = &device->queues[index];

        if (!queue_startable(device, queue) || !queue_acceptable(device, queue)) {
                virtio_break(device);
                return (VirtioEvent){ .type = VIRTIO_EVENT_BROKEN };
        }
        queue->ready = 1;
        queue->reset = 0;
        if (!virtio_is_running(device))
                return no_event;
        return (VirtioEvent){ .type = VIRTIO_EVENT_QUEUE_START, .queue = index };
}

/* In a device that is broken the rings may still run. */
static VirtioEvent queue_stop(VirtioDevice *device, uint16_t index)
{
        device->queues[index].ready = 0;
        if (!(device->status & VIRTIO_STATUS_DRIVER_OK))
                return no_event;
        return (VirtioEvent){ .type = VIRTIO_EVENT_QUEUE_STOP, .queue = index };
}

VirtioEvent virtio_queue_ready_write(VirtioDevice *device, uint16_t index, bool ready)
{
        if (index >= device->n_queues || ready == device->queues[index].ready)
                return no_event;
        return ready ? queue_start(device, index) : queue_stop(device, index);
}

VirtioEvent virtio_queue_reset(VirtioDevice *device, uint16_t index)
{
        VirtioEvent event;

        if (index >= device->n_queues || !virtio_has_feature(device, VIRTIO_F_RING_RESET))
                return no_event;
        event = virtio_queue_ready_write(device, index, false);
        device->queues[index] = (VirtioQueue){ .reset = 1 };
        return event;
}

VirtioEvent virtio_notify(const VirtioDevice *device, uint32_t queue)
{
        if (queue >= device->n_queues || !device->queues[queue].ready || !virtio_is_running(device))
                return no_event;
        return (VirtioEvent){ .type = VIRTIO_EVENT_NOTIFY, .queue = (uint16_t)queue };
}

/* The first byte is, and each one is like the one before it. */
static bool is_zero(const void *bytes, size_t size)
{
        const uint8_t *first = bytes;

        return size == 0 || (*first == 0 && memcmp(first, first + 1, size - 1) == 0);
}

/* Whole pages, in order, and nothing twice. */
static bool banks_consistent(const VirtioDevice *device)
{
        uint64_t end = 0;

        if (device->n_banks > MEMORY_BANKS_MAX)
                return false;
        for (uint32_t i = 0; i < device->n_banks; i++) {
                const MemoryBank *bank = &device->banks[i];

                if (bank->base % GUEST_PAGE_SIZE != 0 || bank->size % GUEST_PAGE_SIZE != 0 ||
                    bank->size == 0 || bank->base < end || bank->size > UINT64_MAX - bank->base)
                        return false;
                end = bank->base + bank->size;
        }
        return is_zero(device->banks + device->n_banks,
                       (MEMORY_BANKS_MAX - device->n_banks) * sizeof(*device->banks));
}

static bool queue_consistent(const VirtioDevice *device, const VirtioQueue *queue)
{
        if (!is_zero(queue->reserved, sizeof(queue->reserved)))
                return false;
        if (queue->reset)
                return queue->reset == 1 && queue->ready == 0 &&
                       virtio_has_feature(device, VIRTIO_F_RING_RESET);
        if (queue->ready)
                return queue->ready == 1 && (device->status & VIRTIO_STATUS_FEATURES_OK) &&
                       queue_acceptable(device, queue);
        return true;
}

static bool queues_consistent(const VirtioDevice *device)
{
        if (device->n_queues > VIRTIO_QUEUES_MAX || device->queue_size_max > QUEUE_SIZE_LIMIT)
                return false;
        for (uint16_t i = 0; i < device->n_queues; i++) {
                if (!queue_consistent(device, &device->queues[i]))
                        return false;
        }
        return is_zero(device->queues + device->n_queues,
                       (VIRTIO_QUEUES_MAX - device->n_queues) * sizeof(*device->queues));
}

static bool status_consistent(const VirtioDevice *device)
{
        const uint8_t status = device->status;

        if (status & ~(DRIVER_BITS | VIRTIO_STATUS_NEEDS_RESET))
                return false;
        if (status & VIRTIO_STATUS_FEATURES_OK)
                return features_acceptable(device);
        return !(status & VIRTIO_STATUS_DRIVER_OK);
}

static bool config_consistent(const VirtioDevice *device)
{
        return device->config_writable <= 1 && device->interrupts_unseen <= 1 &&
               device->config_size <= VIRTIO_CONFIG_SIZE_MAX &&
               is_zero(device->config + device->config_size,
                       VIRTIO_CONFIG_SIZE_MAX - device->config_size);
}

/* A control queue is the last one, behind pairs. */
static bool pairs_consistent(const VirtioDevice *device)
{
        const uint8_t control = device->control_queue;

        if (control == 0)
                return device->n_pairs == 0;
        return control % 2 == 0 && control + 1 == device->n_queues && device->n_pairs > 0 &&
               device->n_pairs <= control / 2;
}

bool virtio_is_consistent(const VirtioDevice *device)
{
        return device->device_id <= DEVICE_ID_MAX &&
               !(device->device_features & BIT(VIRTIO_F_NOTIFICATION_DATA)) &&
               !(device->interrupt_status & ~(VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG)) &&
               is_zero(device->reserved, sizeof(device->reserved)) && config_consistent(device) &&
               status_consistent(device) && banks_consistent(device) && queues_consistent(device) &&
               pairs_consistent(device);
}
