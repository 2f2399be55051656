/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The hands of a device: each action that reconcile() can decide on. */

#include "orchestrator/device-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "orchestrator/backend.h"
#include "orchestrator/clock.h"
#include "orchestrator/dropin.h"
#include "orchestrator/run-state.h"

/* More than the units' TimeoutStopSec: systemd has killed them by then. */
#define STOP_TIMEOUT_USEC (3 * USEC_PER_SEC)

/*
 * What the configuration says of the device, as far as the frontend has to know. Mistakes in it are
 * told when the backend is to be started.
 */
static void launch_configure(Device *device, Launch *launch)
{
        const DeviceServices *services = device->services;
        g_autofree char *message = NULL;
        DeviceChoice choice;
        int order = services->order(services->userdata, device);

        if (configuration_choose(services->configuration, device->spec, order, &choice, &message) >=
            0) {
                launch->memory = choice.profile->memory;
                device_options_hand_over(&choice.options, &launch->config);
                launch->config.size = choice.profile->config_size;
        }
        device_choice_clear(&choice);
}

/* Takes the range, and writes down that it is ours. */
static int device_take(Device *device)
{
        const DeviceServices *services = device->services;
        const DeviceSpec *spec = device->spec;
        Launch launch = {
                .base = spec->base,
                .irq = spec->irq,
                .device_id = spec->device_id,
                .memory_kib = spec->memory_kib,
                .grant_usage = spec->grant_usage,
        };
        double msec;
        int r;

        /* A claim that nobody could read: another one would take the guest's accesses from it. */
        if (run_state_is_claimed(services->rundir, &device->name))
                return -EEXIST;

        g_strlcpy(launch.uuid, spec->uuid, sizeof(launch.uuid));
        r = claims_take(services->claims, device->name.domid, launch.base, &launch.server);
        msec = device_msec_since_seen(device);
        if (r >= 0)
                histogram_add(services->claim_times, (uint64_t)(msec * (double)USEC_PER_MSEC));
        device_introduce(device);
        if (r < 0)
                return r;
        device_log(device, LOG_INFO, LOG_ID_DEVICE_CLAIMED, 0,
                   "claimed MMIO range %#" PRIx64 " as IOREQ server %u, "
                   "%.1f ms after the node was seen",
                   launch.base, (unsigned int)launch.server, msec);

        launch_configure(device, &launch);
        r = run_state_create(services->rundir, &device->name, &launch);
        if (r < 0) {
                claims_release(services->claims, device->name.domid, launch.server);
                return r;
        }
        device->launch = launch;
        device->claimed = true;
        return 0;
}

static void device_claim(Device *device)
{
        g_autofree char *text = NULL;
        int r;

        r = device_take(device);
        if (r >= 0) {
                device->claim_restart = (Restart){ 0 };
                device->answered = false;
                device_write_error(device, NULL);
                device_set_state(device, DEVICE_CLAIMED);
                return;
        }
        restart_note_failure(&device->claim_restart, clock_now_usec(), g_random_int());
        if (r == -ENOSPC)
                text = g_strdup("the guest has as many IOREQ servers as Xen allows");
        else
                text = g_strdup_printf("cannot claim MMIO range %#" PRIx64 ": %s",
                                       device->spec->base, strerror(-r));
        device_fail(device, r, text);
}

/* State 2: "xl create" goes on, and the guest's disk is there when it looks. */
static void device_answer(Device *device)
{
        int r;

        r = store_write_state(device->services->store, &device->name, XENBUS_INITIALISING,
                              XENBUS_INIT_WAIT);
        if (r >= 0) {
                device->xenbus = XENBUS_INIT_WAIT;
                return;
        }
        device_log(device, LOG_WARNING, NULL, r, "cannot write the state node: %m, looking again");
        device->xenbus = XENBUS_UNKNOWN;
        device_enqueue(device, true);
}

static void device_start_backend(Device *device)
{
        const DeviceServices *services = device->services;
        g_autofree char *text = NULL, *message = NULL;
        int r;

        r = backend_prepare(device->spec, services->order(services->userdata, device),
                            services->configuration, &text, &message);
        if (r >= 0) {
                r = dropin_write(services->unitdir, &device->name, text);
                if (r < 0)
                        message = g_strdup_printf("cannot write the unit's drop-in: %s",
                                                  strerror(-r));
        }
        if (r < 0) {
                restart_note_failure(&device->backend_restart, clock_now_usec(), g_random_int());
                device_fail(device, r, message);
                return;
        }
        run_state_remove_socket(services->rundir, &device->name);
        unit_start(device->backend);
}

static void device_stop(Device *device)
{
        if (!device->stop_requested)
                device->stop_deadline = clock_now_usec() + STOP_TIMEOUT_USEC;
        device->stop_requested = true;
        device_set_state(device, DEVICE_STOPPING);
        unit_stop(device->slice);
}

static void device_release(Device *device)
{
        const DeviceServices *services = device->services;
        int r = 0;

        if (device->backend_phase != UNIT_DOWN || device->frontend_phase != UNIT_DOWN)
                device_log(device, LOG_WARNING, NULL, 0, "systemd has not stopped %s in time",
                           unit_name(device->slice));

        /* A number that is another domain's by now: its servers are not ours. */
        if (device_claim_is_current(device))
                r = claims_release(services->claims, device->name.domid, device->launch.server);
        if (r < 0)
                device_log(device, LOG_WARNING, NULL, r, "cannot destroy IOREQ server %u: %m",
                           (unsigned int)device->launch.server);
        r = dropin_remove(services->unitdir, &device->name);
        if (r < 0)
                device_log(device, LOG_WARNING, NULL, r, "cannot remove the unit's drop-in: %m");
        r = run_state_remove(services->rundir, &device->name);
        if (r < 0)
                device_log(device, LOG_WARNING, NULL, r, "cannot remove the device's folder: %m");

        device->claimed = false;
        device->stop_requested = false;
        device->backend_restart = device->frontend_restart = (Restart){ 0 };
        device_set_state(device, DEVICE_RELEASED);
        device_log(device, LOG_INFO, LOG_ID_DEVICE_GONE, 0, "gone");

        /* The nodes may by now be those of another device of the same name. */
        device_enqueue(device, true);
}

/* State 6: the toolstack goes on and removes the nodes. */
static void device_close(Device *device)
{
        int r;

        r = store_write_state(device->services->store, &device->name, XENBUS_CLOSING,
                              XENBUS_CLOSED);
        device->wish = WISH_CLOSED;
        if (r < 0) {
                device_log(device, LOG_WARNING, NULL, r,
                           "cannot write the state node: %m, looking again");
                device_enqueue(device, true);
        }
}

void device_execute(Device *device, Action action)
{
        switch (action) {
        case ACTION_CLAIM:
                device_claim(device);
                break;
        case ACTION_ANSWER:
                device_answer(device);
                break;
        case ACTION_START_BACKEND:
                device_start_backend(device);
                break;
        case ACTION_START_FRONTEND:
                unit_start(device->frontend);
                break;
        case ACTION_STOP:
                device_stop(device);
                break;
        case ACTION_RELEASE:
                device_release(device);
                break;
        case ACTION_CLOSE:
                device_close(device);
                break;
        case ACTION_NONE:
        case ACTION_FORGET:
        case _ACTION_MAX:
                break;
        }
}
