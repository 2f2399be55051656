/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a device is, for people. */

#include "orchestrator/device-internal.h"

#include "common/device-id.h"
#include "orchestrator/clock.h"
#include "orchestrator/run-state.h"

static const char *const device_states[_DEVICE_STATE_MAX] = {
        [DEVICE_SEEN] = "seen",     [DEVICE_CLAIMED] = "claimed",   [DEVICE_READY] = "ready",
        [DEVICE_FAILED] = "failed", [DEVICE_STOPPING] = "stopping", [DEVICE_RELEASED] = "released",
};

const char *device_state_name(DeviceState state)
{
        return device_states[state];
}

static uint64_t device_retry_msec(const Device *device)
{
        const uint64_t now = clock_now_usec();
        uint64_t after = device->claimed ? 0 : device->claim_restart.not_before;

        if (device->claimed && device->backend_phase == UNIT_DOWN)
                after = device->backend_restart.not_before;
        if (device->claimed && device->frontend_phase == UNIT_DOWN)
                after = MAX(after, device->frontend_restart.not_before);
        return after > now ? (after - now) / USEC_PER_MSEC : 0;
}

void device_describe(const Device *device, DeviceReport *ret_report)
{
        const uint32_t id = device_type(device);
        const char *type = device_id_name(id);

        *ret_report = (DeviceReport){
                .instance = device->instance,
                .domid = device->name.domid,
                .domain = device->spec ? device->spec->domain : NULL,
                .type = type ? type : "other",
                .device_id = id,
                .state = device_state_name(device->state),
                .base = device->launch.base,
                .server = device->launch.server,
                .memory_kib = device->launch.grant_usage ? 0 : device->launch.memory_kib,
                .problem = device->error,
                .outdated = device->outdated,
                .retry_msec = device_retry_msec(device),
                .backend_restarts = device->backend_restart.n_ends,
                .frontend = device_frontend_instance(device),
                .frontend_restarts = device_frontend_restarts(device),
        };
}

void device_read_counters(const Device *device, DeviceReport *report)
{
        Counters *counters = &report->counters;
        _cleanup_fd_ int folder = run_state_open(device->services->rundir, device->instance);

        /* A frontend that counts nothing, or nothing that we understand, has counted nothing. */
        if (folder < 0 || counters_read(folder, counters) < 0)
                *counters = (Counters){ 0 };
        /* Its processes run, and yet nothing goes on. */
        if (!report->problem && counters->waiting != 0)
                report->problem = "the guest's driver waits: the backend was lost";
}
