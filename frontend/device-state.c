/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/device-state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

_Static_assert(sizeof(DeviceState) ==
                       64 + sizeof(VirtioMmio) + sizeof(VhostProgress) + sizeof(VhostKept),
               "the layout belongs to the version");

/*
 * Maps the file. It is allocated at once: a full file system shows now, and not as a signal later.
 * Returns whether it had another size before, or a negative errno.
 */
static int state_map(int fd, DeviceState **ret_state)
{
        struct stat status;
        void *mapped;

        if (fstat(fd, &status) < 0)
                return -errno;
        if (ftruncate(fd, sizeof(DeviceState)) < 0 || fallocate(fd, 0, 0, sizeof(DeviceState)) < 0)
                return -errno;
        mapped = mmap(NULL, sizeof(DeviceState), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED)
                return -errno;
        *ret_state = mapped;
        return status.st_size != sizeof(DeviceState);
}

static void state_begin(DeviceState *state, const Launch *launch, const MemoryBank *banks,
                        unsigned int n_banks)
{
        /* The version last: with it, a state that was half made is none. */
        *state = (DeviceState){
                .base = launch->base,
                .irq = launch->irq,
                .server = launch->server,
        };
        memcpy(state->uuid, launch->uuid, sizeof(state->uuid));
        virtio_mmio_init(&state->mmio, banks, n_banks);
        state->size = sizeof(*state);
        state->version = DEVICE_STATE_VERSION;
}

/* NULL, or what is wrong with a state that was found. Its bytes may be anything. */
static const char *state_problem(const DeviceState *state, int inflight, const Launch *launch,
                                 const MemoryBank *banks, unsigned int n_banks)
{
        static const char zero[sizeof(state->reserved)];
        const VirtioDevice *device = &state->mmio.device;

        if (state->version != DEVICE_STATE_VERSION || state->size != sizeof(*state))
                return "it is of another version";
        if (state->base != launch->base || state->irq != launch->irq ||
            state->server != launch->server ||
            memcmp(state->uuid, launch->uuid, sizeof(state->uuid)) != 0)
                return "it is another device's";
        if (memcmp(state->reserved, zero, sizeof(zero)) != 0 || virtio_mmio_check(&state->mmio) < 0)
                return "its registers are not consistent";
        if ((device->device_id != 0 && device->device_id != launch->device_id) ||
            device->n_banks != n_banks ||
            memcmp(device->banks, banks, n_banks * sizeof(*banks)) != 0)
                return "it is of a device of another kind";
        if (!vhost_inflight_is_consistent(&state->progress, inflight))
                return "the backend's area for requests is not consistent";
        return NULL;
}

/* A new file is zero. */
static bool state_is_new(const DeviceState *state)
{
        static const DeviceState zero;

        return memcmp(state, &zero, sizeof(zero)) == 0;
}

int device_state_map(int file, int inflight, const Launch *launch, const MemoryBank *banks,
                     unsigned int n_banks, const LogContext *context, DeviceState **ret_state)
{
        DeviceState *state = NULL;
        const char *problem;
        int r;

        r = state_map(file, &state);
        if (r < 0)
                return r;
        *ret_state = state;
        if (!state_is_new(state)) {
                problem = r > 0 ? "it has another size"
                                : state_problem(state, inflight, launch, banks, n_banks);
                if (!problem)
                        return 1;
                log_warning(context, "the device begins anew, its state is of no use: %s", problem);
        }
        state_begin(state, launch, banks, n_banks);
        return 0;
}

void device_state_unmap(DeviceState *state)
{
        if (state)
                munmap(state, sizeof(*state));
}
