/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/machine.h"

#include <glib.h>

#include "common/launch.h"
#include "frontend/ioreq.h"
#include "tests/fuzz/input.h"
#include "tests/unit/register-model.h"
#include "tests/unit/ring-model.h"

#define BASE    UINT64_C(0x2000000)
#define SIZE    VIRTIO_MMIO_RANGE_SIZE
#define RAM     GUEST_BANK0_BASE
#define N_VCPUS 3

struct Hypervisor {
        IoRequest requests[N_VCPUS];
        bool waits[N_VCPUS];
};

typedef struct Machine {
        Hypervisor hypervisor;
        IoreqServer server;
        VirtioMmio mmio;
        RingModel rings;
        uint64_t n_accesses, n_invalidations; /* that were handed over */
        bool is_slow; /* the backend takes its time for whatever starts or stops a ring */
        bool is_busy; /* it is at it */
        bool is_held; /* requests are collected, so that several wait at once */
} Machine;

unsigned int hypervisor_n_vcpus(const Hypervisor *hypervisor _unused_)
{
        return N_VCPUS;
}

int hypervisor_request_take(Hypervisor *hypervisor, unsigned int vcpu, IoRequest *ret_request)
{
        g_assert_cmpuint(vcpu, <, N_VCPUS);
        *ret_request = hypervisor->requests[vcpu];
        return hypervisor->waits[vcpu];
}

static uint64_t request_mask(const IoRequest *request)
{
        return request->size < 8 ? (UINT64_C(1) << (8 * request->size)) - 1 : UINT64_MAX;
}

/* Whether a request is for the registers, in numbers that cannot wrap. */
static bool request_is_access(const IoRequest *request)
{
        return request->type == 1 && request->count == 1 && !request->data_is_pointer &&
               (request->size == 1 || request->size == 2 || request->size == 4 ||
                request->size == 8) &&
               request->address >= BASE &&
               (unsigned __int128)request->address + request->size <= BASE + SIZE;
}

int hypervisor_request_complete(Hypervisor *hypervisor, unsigned int vcpu, uint64_t data)
{
        const IoRequest *request = &hypervisor->requests[vcpu];

        g_assert_true(hypervisor->waits[vcpu]);
        if (request_is_access(request))
                g_assert_cmphex(data & ~request_mask(request), ==, 0);
        else
                g_assert_cmphex(data, ==, 0);
        hypervisor->waits[vcpu] = false;
        return 0;
}

int hypervisor_events_unmask(Hypervisor *hypervisor _unused_)
{
        return 0;
}

static void assert_same(const VirtioMmio *mmio, const VirtioMmio *model)
{
        g_assert_cmpmem(mmio, sizeof(*mmio), model, sizeof(*model));
}

static MmioResult write_access(Machine *machine, const MmioAccess *access)
{
        VirtioMmio model = machine->mmio;
        const VirtioEvent expected =
                register_model_write(&model, access->offset, access->size, access->data);
        const VirtioEvent event =
                virtio_mmio_write(&machine->mmio, access->offset, access->size, access->data);

        assert_same(&machine->mmio, &model);
        g_assert_cmpint(event.type, ==, expected.type);
        g_assert_cmpuint(event.queue, ==, expected.queue);
        g_assert_cmpuint(event.offset, ==, expected.offset);
        g_assert_cmpuint(event.size, ==, expected.size);
        ring_model_apply(&machine->rings, &machine->mmio.device, event);
        machine->is_busy =
                machine->is_slow &&
                (event.type == VIRTIO_EVENT_START || event.type == VIRTIO_EVENT_RESET ||
                 event.type == VIRTIO_EVENT_QUEUE_START || event.type == VIRTIO_EVENT_QUEUE_STOP);
        return machine->is_busy ? MMIO_WAIT : MMIO_DONE;
}

static MmioResult on_find(void *userdata, uint64_t base, void **ret_device)
{
        g_assert_cmphex(base % SIZE, ==, 0);
        *ret_device = base == BASE ? userdata : NULL;
        return MMIO_DONE;
}

static MmioResult on_access(void *device, const MmioAccess *access, uint64_t *ret_data)
{
        Machine *machine = device;

        machine->n_accesses++;
        g_assert_cmpuint(access->offset, <=, SIZE - access->size);
        if (access->is_read) {
                VirtioMmio model = machine->mmio;

                *ret_data = virtio_mmio_read(&machine->mmio, access->offset, access->size);
                g_assert_cmphex(*ret_data, ==,
                                register_model_read(&model, access->offset, access->size));
                assert_same(&machine->mmio, &model);
                return MMIO_DONE;
        }
        return machine->is_busy ? MMIO_WAIT : write_access(machine, access);
}

static void on_answered(void *device _unused_)
{
}

static void on_invalidate(void *userdata)
{
        Machine *machine = userdata;

        machine->n_invalidations++;
}

static const IoreqOps ops = {
        .find = on_find,
        .access = on_access,
        .answered = on_answered,
        .invalidate = on_invalidate,
};

static void serve(Machine *machine)
{
        uint64_t expected = 0, invalidations = 0;

        for (unsigned int i = 0; i < N_VCPUS; i++) {
                const IoRequest *request = &machine->hypervisor.requests[i];

                if (!machine->hypervisor.waits[i])
                        continue;
                expected += request_is_access(request);
                invalidations += request->type == 8;
        }
        expected += machine->n_accesses;
        invalidations += machine->n_invalidations;
        g_assert_cmpint(ioreq_serve(&machine->server), >=, 0);
        g_assert_cmpuint(machine->n_accesses, ==, expected);
        g_assert_cmpuint(machine->n_invalidations, ==, invalidations);
        for (unsigned int i = 0; i < N_VCPUS; i++)
                g_assert_true(machine->is_busy || !machine->hypervisor.waits[i]);
}

/* The backend is done, as often as it is asked for something: each round answers one vCPU. */
static void finish(Machine *machine)
{
        machine->is_held = false;
        for (unsigned int i = 0; i <= N_VCPUS; i++) {
                machine->is_busy = false;
                serve(machine);
        }
        for (unsigned int i = 0; i < N_VCPUS; i++)
                g_assert_false(machine->hypervisor.waits[i]);
}

/* The first vCPU that does not wait; others are let go on if all do. */
static void request_put(Machine *machine, const IoRequest *request)
{
        Hypervisor *hypervisor = &machine->hypervisor;
        unsigned int vcpu = 0;

        while (vcpu < N_VCPUS && hypervisor->waits[vcpu])
                vcpu++;
        if (vcpu == N_VCPUS) {
                finish(machine);
                vcpu = 0;
        }
        hypervisor->requests[vcpu] = *request;
        hypervisor->waits[vcpu] = true;
        if (!machine->is_held)
                serve(machine);
}

static void access_put(Machine *machine, uint64_t offset, uint32_t size, bool is_read,
                       uint64_t value)
{
        request_put(machine, &(IoRequest){ .address = BASE + offset,
                                           .data = value,
                                           .size = size,
                                           .count = 1,
                                           .type = IO_REQUEST_COPY,
                                           .is_read = is_read });
}

/* Small numbers, places in RAM, and all of the device's features, in one byte; others in five. */
static uint32_t take_value(Machine *machine, Input *input)
{
        const uint8_t byte = input_u8(input);

        if (byte < 0xe0)
                return byte;
        if (byte < 0xf0)
                return (uint32_t)RAM + (byte & 15) * 4096;
        if (byte < 0xf2)
                return (uint32_t)(machine->mmio.device.device_features >> (byte & 1 ? 32 : 0));
        return input_u32(input);
}

typedef struct Step {
        uint8_t offset;
        uint32_t value;
} Step;

/* A driver that does it right, with the device's own features, and one queue of it. */
static const Step queue_steps[] = {
        { 0x38, 16 },         { 0x84, 0 }, { 0x80, RAM },        { 0x94, 0 },
        { 0x90, RAM + 4096 }, { 0xa4, 0 }, { 0xa0, RAM + 8192 }, { 0x44, 1 },
};

static void do_steps(Machine *machine, const Step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++)
                access_put(machine, steps[i].offset, 4, false, steps[i].value);
}

static void do_driver(Machine *machine, uint8_t queue)
{
        const uint64_t features = machine->mmio.device.device_features;
        const Step steps[] = {
                { 0x70, 0 },  { 0x70, 3 },
                { 0x24, 0 },  { 0x20, (uint32_t)features },
                { 0x24, 1 },  { 0x20, (uint32_t)(features >> 32) },
                { 0x70, 11 }, { 0x30, queue },
        };

        do_steps(machine, steps, G_N_ELEMENTS(steps));
        do_steps(machine, queue_steps, G_N_ELEMENTS(queue_steps));
        access_put(machine, 0x70, 4, false, 15);
}

static void do_raw_request(Machine *machine, Input *input)
{
        const uint8_t flags = input_u8(input);
        IoRequest request = { .type = input_u8(input) };

        request.is_read = flags & 1;
        request.data_is_pointer = flags & 2;
        request.size = flags & 4 ? input_u32(input) : input_u8(input);
        request.count = flags & 8 ? input_u32(input) : 1;
        if (flags & 16)
                input_take(input, &request.address, sizeof(request.address));
        else
                request.address = BASE - 16 + input_u32(input) % (SIZE + 32);
        input_take(input, &request.data, sizeof(request.data));
        request_put(machine, &request);
}

static void do_config_access(Machine *machine, Input *input)
{
        const uint8_t offset = input_u8(input), flags = input_u8(input);

        access_put(machine, 0x100 + offset, 1U << (flags & 3), flags & 4,
                   take_value(machine, input));
}

/* The device's own doings. */
static void do_device(Machine *machine, Input *input)
{
        VirtioDevice *device = &machine->mmio.device;
        const uint8_t what = input_u8(input);
        uint8_t config[VIRTIO_CONFIG_SIZE_MAX];
        uint32_t size;

        switch (what & 7) {
        case 0:
                virtio_break(device);
                break;
        case 1:
                virtio_interrupt_raise(device,
                                       what & 8 ? VIRTIO_INTERRUPT_QUEUE : VIRTIO_INTERRUPT_CONFIG);
                break;
        case 2:
                virtio_config_set_writable(device, what & 8);
                break;
        case 3:
                size = input_u8(input) + UINT32_C(1);
                memset(config, what, sizeof(config));
                virtio_config_change(device, config, size);
                break;
        case 4:
                if (device->status != 0)
                        break;
                memset(config, what, sizeof(config));
                virtio_offer(device, (uint64_t)input_u32(input) << 24,
                             input_u8(input) % (VIRTIO_QUEUES_MAX + 1), 256, config, what);
                break;
        default:
                machine->is_slow = what & 8;
                break;
        }
}

/* Offsets that mean something, and a few that do not. */
static const uint8_t registers[] = {
        0x70, 0x30, 0x44, 0xc0, 0x50, 0x38, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0x14, 0x10, 0x24,
        0x20, 0x60, 0x64, 0x34, 0xac, 0xb0, 0xbc, 0xfc, 0x00, 0x04, 0x08, 0x0c, 0x28, 0x48, 0x74,
};

static void do_next(Machine *machine, Input *input)
{
        const uint8_t what = input_u8(input);
        const uint8_t offset = registers[what % 32 % sizeof(registers)];

        switch (what / 32) {
        case 0:
        case 1:
                access_put(machine, offset, 4, false, take_value(machine, input));
                break;
        case 2:
                access_put(machine, offset, 4, true, 0);
                break;
        case 3:
                do_driver(machine, what % 32);
                break;
        case 4:
                do_steps(machine, queue_steps, G_N_ELEMENTS(queue_steps));
                break;
        case 5:
                do_config_access(machine, input);
                break;
        case 6:
                do_device(machine, input);
                break;
        default:
                if (what & 1)
                        do_raw_request(machine, input);
                else if (what & 2)
                        machine->is_held = true;
                else
                        finish(machine);
                break;
        }
}

void machine_run(const VirtioMmio *mmio, const uint8_t *bytes, size_t size)
{
        Input input = { bytes, size };
        Machine machine = { .mmio = *mmio };

        machine.server = (IoreqServer){
                .hypervisor = &machine.hypervisor,
                .ops = &ops,
                .userdata = &machine,
        };
        ring_model_init(&machine.rings, &machine.mmio.device);
        while (input.size > 0) {
                const uint32_t generation = machine.mmio.device.config_generation;

                do_next(&machine, &input);
                g_assert_cmpint(virtio_mmio_check(&machine.mmio), ==, 0);
                g_assert_cmpuint(machine.mmio.device.config_generation - generation, <=, 1);
        }
        finish(&machine);
}
