/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/register-model.h"

enum {
        ACKNOWLEDGE = 1,
        DRIVER = 2,
        DRIVER_OK = 4,
        FEATURES_OK = 8,
        NEEDS_RESET = 64,
        FAILED = 128,
};

#define VERSION_1       (UINT64_C(1) << 32)
#define ACCESS_PLATFORM (UINT64_C(1) << 33)
#define RING_PACKED     (UINT64_C(1) << 34)
#define RING_RESET      (UINT64_C(1) << 40)

static VirtioEvent bad(VirtioMmio *mmio)
{
        mmio->n_bad_accesses++;
        return (VirtioEvent){ 0 };
}

/* Section 2.1.2. */
static VirtioEvent broken(VirtioDevice *device)
{
        device->status |= NEEDS_RESET;
        if (device->status & DRIVER_OK)
                device->interrupt_status |= 2;
        return (VirtioEvent){ .type = VIRTIO_EVENT_BROKEN };
}

/* An area in RAM, with numbers that cannot wrap. */
static bool area_fits(const VirtioDevice *device, uint64_t address, uint64_t length,
                      uint64_t alignment)
{
        for (uint32_t i = 0; i < device->n_banks; i++) {
                const unsigned __int128 start = device->banks[i].base;
                const unsigned __int128 end = start + device->banks[i].size;

                if (address >= start && (unsigned __int128)address + length <= end)
                        return address % alignment == 0;
        }
        return false;
}

static bool queue_fits(const VirtioDevice *device, const VirtioQueue *queue)
{
        const bool packed = device->driver_features & RING_PACKED;
        const uint32_t n = queue->size;

        if (n < 1 || n > device->queue_size_max || n > 32768 ||
            (!packed && __builtin_popcount(n) != 1))
                return false;
        return area_fits(device, queue->descriptor_area, 16UL * n, 16) &&
               area_fits(device, queue->driver_area, packed ? 4 : 6 + 2UL * n, packed ? 4 : 2) &&
               area_fits(device, queue->device_area, packed ? 4 : 6 + 8UL * n, 4);
}

static bool features_fit(const VirtioDevice *device)
{
        const uint64_t offered = device->device_features, chosen = device->driver_features;

        return (chosen | offered) == offered && (chosen & VERSION_1) &&
               (!(offered & ACCESS_PLATFORM) || (chosen & ACCESS_PLATFORM));
}

static VirtioEvent write_status(VirtioDevice *device, uint8_t value)
{
        const uint8_t before = device->status;

        if (value == 0) {
                device->status = 0;
                device->driver_features = 0;
                device->interrupt_status = 0;
                device->n_pairs = device->control_queue ? 1 : 0;
                device->interrupts_unseen = 0;
                for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
                        device->queues[i] = (VirtioQueue){ 0 };
                return (VirtioEvent){ .type = before ? VIRTIO_EVENT_RESET : VIRTIO_EVENT_NONE };
        }
        device->status |= value & (ACKNOWLEDGE | DRIVER | FAILED);
        if ((value & FEATURES_OK) && features_fit(device))
                device->status |= FEATURES_OK;
        if (!(value & DRIVER_OK) || (before & DRIVER_OK))
                return (VirtioEvent){ 0 };
        if (!(device->status & FEATURES_OK))
                return broken(device);
        device->status |= DRIVER_OK;
        if (device->status & NEEDS_RESET)
                return broken(device);
        return (VirtioEvent){ .type = VIRTIO_EVENT_START };
}

static VirtioEvent write_ready(VirtioMmio *mmio, uint32_t value)
{
        VirtioDevice *device = &mmio->device;
        VirtioQueue *queue = &device->queues[mmio->queue_sel];
        const uint8_t phase = device->status & (FEATURES_OK | DRIVER_OK | NEEDS_RESET);
        VirtioEvent event = { .queue = (uint16_t)mmio->queue_sel };
        bool allowed;

        if (queue->ready == (value & 1))
                return (VirtioEvent){ 0 };
        if (queue->ready) {
                queue->ready = 0;
                if (!(phase & DRIVER_OK))
                        return (VirtioEvent){ 0 };
                event.type = VIRTIO_EVENT_QUEUE_STOP;
                return event;
        }
        allowed = phase == FEATURES_OK || phase == (FEATURES_OK | NEEDS_RESET) ||
                  (phase == (FEATURES_OK | DRIVER_OK) && queue->reset);
        if (!allowed || !queue_fits(device, queue))
                return broken(device);
        queue->ready = 1;
        queue->reset = 0;
        if (phase != (FEATURES_OK | DRIVER_OK))
                return (VirtioEvent){ 0 };
        event.type = VIRTIO_EVENT_QUEUE_START;
        return event;
}

static VirtioEvent write_reset(VirtioMmio *mmio, uint32_t value)
{
        VirtioDevice *device = &mmio->device;
        VirtioQueue *queue = &device->queues[mmio->queue_sel];
        const bool ran = queue->ready && (device->status & DRIVER_OK);

        if (!(device->status & FEATURES_OK) || !(device->driver_features & RING_RESET))
                return bad(mmio);
        if (!(value & 1))
                return (VirtioEvent){ 0 };
        *queue = (VirtioQueue){ .reset = 1 };
        if (!ran)
                return (VirtioEvent){ 0 };
        return (VirtioEvent){ .type = VIRTIO_EVENT_QUEUE_STOP, .queue = (uint16_t)mmio->queue_sel };
}

static VirtioEvent write_queue(VirtioMmio *mmio, uint64_t offset, uint32_t value)
{
        const uint64_t high = (uint64_t)value << 32, keep_high = UINT64_C(0xffffffff00000000);
        VirtioQueue *queue;

        if (mmio->queue_sel >= mmio->device.n_queues)
                return bad(mmio);
        if (offset == 0x044)
                return write_ready(mmio, value);
        if (offset == 0x0c0)
                return write_reset(mmio, value);
        queue = &mmio->device.queues[mmio->queue_sel];
        if (queue->ready)
                return bad(mmio);
        if (offset == 0x038)
                queue->size = value > 0xffff ? 0 : (uint16_t)value;
        if (offset == 0x080)
                queue->descriptor_area = (queue->descriptor_area & keep_high) | value;
        if (offset == 0x084)
                queue->descriptor_area = (uint32_t)queue->descriptor_area | high;
        if (offset == 0x090)
                queue->driver_area = (queue->driver_area & keep_high) | value;
        if (offset == 0x094)
                queue->driver_area = (uint32_t)queue->driver_area | high;
        if (offset == 0x0a0)
                queue->device_area = (queue->device_area & keep_high) | value;
        if (offset == 0x0a4)
                queue->device_area = (uint32_t)queue->device_area | high;
        return (VirtioEvent){ 0 };
}

static VirtioEvent write_features(VirtioMmio *mmio, uint32_t value)
{
        VirtioDevice *device = &mmio->device;

        if (device->status & FEATURES_OK)
                return (VirtioEvent){ 0 };
        if (mmio->driver_features_sel == 0)
                device->driver_features = (device->driver_features >> 32 << 32) | value;
        if (mmio->driver_features_sel == 1)
                device->driver_features = (uint32_t)device->driver_features | (uint64_t)value << 32;
        return (VirtioEvent){ 0 };
}

static VirtioEvent write_notify(const VirtioDevice *device, uint32_t value)
{
        if (value >= device->n_queues || !device->queues[value].ready ||
            (device->status & (DRIVER_OK | NEEDS_RESET)) != DRIVER_OK)
                return (VirtioEvent){ 0 };
        return (VirtioEvent){ .type = VIRTIO_EVENT_NOTIFY, .queue = (uint16_t)value };
}

static bool config_access_is_good(uint64_t offset, uint32_t size)
{
        return offset < 0x200 &&
               (size == 1 || (size == 2 && offset % 2 == 0) || (size == 4 && offset % 4 == 0));
}

static VirtioEvent write_config(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint32_t value)
{
        VirtioDevice *device = &mmio->device;
        const uint32_t first = (uint32_t)offset - 0x100;

        if (!config_access_is_good(offset, size) || !device->config_writable ||
            first + size > device->config_size)
                return bad(mmio);
        for (uint32_t i = 0; i < size; i++)
                device->config[first + i] = (uint8_t)(value >> (8 * i));
        return (VirtioEvent){ .type = VIRTIO_EVENT_CONFIG_WRITE, .offset = first, .size = size };
}

VirtioEvent register_model_write(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint64_t data)
{
        const uint32_t value = (uint32_t)data;

        if (offset >= 0x100)
                return write_config(mmio, offset, size, value);
        if (size != 4)
                return bad(mmio);
        switch (offset) {
        case 0x014:
                mmio->device_features_sel = value;
                return (VirtioEvent){ 0 };
        case 0x020:
                return write_features(mmio, value);
        case 0x024:
                mmio->driver_features_sel = value;
                return (VirtioEvent){ 0 };
        case 0x030:
                mmio->queue_sel = value;
                return (VirtioEvent){ 0 };
        case 0x050:
                return write_notify(&mmio->device, value);
        case 0x064:
                mmio->device.interrupt_status &= ~value;
                return (VirtioEvent){ 0 };
        case 0x070:
                return write_status(&mmio->device, (uint8_t)value);
        case 0x0ac: /* there are no shared memory regions to choose from */
                return (VirtioEvent){ 0 };
        case 0x038:
        case 0x044:
        case 0x080:
        case 0x084:
        case 0x090:
        case 0x094:
        case 0x0a0:
        case 0x0a4:
        case 0x0c0:
                return write_queue(mmio, offset, value);
        default:
                return bad(mmio);
        }
}

static uint32_t read_config(VirtioMmio *mmio, uint64_t offset, uint32_t size)
{
        uint32_t value = 0;

        if (!config_access_is_good(offset, size)) {
                bad(mmio);
                return 0;
        }
        for (uint32_t i = 0; i < size; i++)
                value |= (uint32_t)mmio->device.config[offset - 0x100 + i] << (8 * i);
        return value;
}

uint64_t register_model_read(VirtioMmio *mmio, uint64_t offset, uint32_t size)
{
        const VirtioDevice *device = &mmio->device;
        const bool selected = mmio->queue_sel < device->n_queues;

        if (offset >= 0x100)
                return read_config(mmio, offset, size);
        if (size == 4) {
                switch (offset) {
                case 0x000:
                        return 0x74726976;
                case 0x004:
                        return 2;
                case 0x008:
                        return device->device_id;
                case 0x00c:
                        return 0x564e4558;
                case 0x010:
                        if (mmio->device_features_sel > 1)
                                return 0;
                        return (uint32_t)(device->device_features >>
                                          (mmio->device_features_sel ? 32 : 0));
                case 0x034:
                        return selected ? device->queue_size_max : 0;
                case 0x044:
                        return selected ? device->queues[mmio->queue_sel].ready : 0;
                case 0x060:
                        return device->interrupt_status | device->interrupts_unseen;
                case 0x070:
                        return device->status;
                case 0x0b0:
                case 0x0b4:
                case 0x0b8:
                case 0x0bc:
                        return 0xffffffff;
                case 0x0c0:
                        if (selected && (device->status & FEATURES_OK) &&
                            (device->driver_features & RING_RESET))
                                return 0;
                        break;
                case 0x0fc:
                        return device->config_generation;
                default:
                        break;
                }
        }
        bad(mmio);
        return 0;
}
