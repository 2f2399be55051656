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

static void device_claim(Device *device)
{
        const DeviceServices *services = device->services;
        g_autofree char *text = NULL;
        int r;

        r = device_claim_take(device);
        if (r >= 0) {
                device->claim_restart = (Restart){ 0 };
                device->answered = false;
                device->leftover = true;
                device_write_error(device, NULL);
                device_set_state(device, DEVICE_CLAIMED);
                return;
        }
        restart_note_failure(&device->claim_restart, clock_now_usec(), g_random_int());
        if (r == -EUSERS)
                text = g_strdup("the guest has as many IOREQ servers as Xen allows");
        else if (r == -ESTALE)
                text = g_strdup("the devices of the domain that had this number are still ending");
        else if (r == -ENOSPC)
                text = g_strdup("there is no room for the device's files in " RUN_DIRECTORY);
        else if (r == -EADDRINUSE)
                text = g_strdup_printf(
                        "base: %#" PRIx64 " is that of device %s", device->spec->base,
                        services->holder(services->userdata, device, device->spec->base));
        else
                text = g_strdup_printf("cannot claim MMIO range %#" PRIx64 ": %s",
                                       device->spec->base, strerror(-r));
        device_fail(device, r, text);
}

/*
 * State 2: "xl create" goes on, and the guest's disk is there when it looks, or the guest waits for
 * it. If the node says something else by now, it is read again.
 */
static void device_answer(Device *device)
{
        if (device->name.kind == DEVICE_KIND_DISK && device_frontend_phase(device) != UNIT_UP)
                device_log(device, LOG_NOTICE, NULL, 0,
                           "still starting: the guest waits for it from now on");
        store_write_state(device->services->store, &device->name, device->vm, XENBUS_INITIALISING,
                          XENBUS_INIT_WAIT);
        device->xenbus = XENBUS_INIT_WAIT;
}

static void device_start_backend(Device *device)
{
        const DeviceServices *services = device->services;
        g_autofree char *text = NULL, *message = NULL;
        Restart *restart = &device->backend_restart;
        int r;

        if (!start_budget_permit(services->starts, restart, clock_now_usec()))
                return;
        r = backend_prepare(device->spec, services->order(services->userdata, device),
                            services->configuration, &text, &restart->policy, &message);
        if (r >= 0) {
                r = dropin_write(services->unitdir, unit_name(device->backend), text);
                if (r < 0)
                        message = g_strdup_printf("cannot write the unit's drop-in: %s",
                                                  strerror(-r));
        }
        if (r < 0) {
                restart_note_failure(restart, clock_now_usec(), g_random_int());
                device_fail(device, r, message);
                return;
        }
        device->outdated = false;
        device_claim_configure(device);
        run_state_remove_socket(services->rundir, device->instance);
        unit_start(device->backend);
}

void device_compare_backend(Device *device)
{
        const DeviceServices *services = device->services;
        g_autofree char *text = NULL, *message = NULL;
        RestartPolicy policy;
        int r;

        if (!device->spec || !device->claimed || unit_phase(device->backend) != UNIT_UP)
                return;
        r = backend_prepare(device->spec, services->order(services->userdata, device),
                            services->configuration, &text, &policy, &message);
        device->outdated =
                r < 0 || !dropin_has(services->unitdir, unit_name(device->backend), text);
}

static void device_clear(Device *device)
{
        device_log(device, LOG_WARNING, NULL, 0, "stopping what is left of it");
        if (unit_phase(device->backend) != UNIT_DOWN)
                unit_stop(device->backend);
        if (unit_phase(device->frontend) != UNIT_DOWN)
                unit_stop(device->frontend);
}

static void device_stop(Device *device)
{
        if (!device->stop_requested)
                device->stop_deadline = clock_now_usec() + STOP_TIMEOUT_USEC;
        device->stop_requested = true;
        device_set_state(device, DEVICE_STOPPING);
        if (device->member)
                shared_member_stop(device->member);
        unit_stop(device->slice);
}

static void device_release(Device *device)
{
        if (device->backend_phase != UNIT_DOWN || device->frontend_phase != UNIT_DOWN)
                device_log(device, LOG_WARNING, NULL, 0, "systemd has not stopped %s in time",
                           unit_name(device->slice));

        if (device_claim_release(device) < 0) {
                restart_note_failure(&device->claim_restart, clock_now_usec(), g_random_int());
                return;
        }
        device->claimed = device->leftover = false;
        device->stop_requested = false;
        device->claim_restart = device->backend_restart = device->frontend_restart = (Restart){ 0 };
        device_set_state(device, DEVICE_RELEASED);
        device_log(device, LOG_INFO, LOG_ID_DEVICE_GONE, 0, "gone");

        /* The nodes may by now be those of another device of the same name. */
        device_enqueue(device, true);
}

/* State 6: the toolstack goes on and removes the nodes. */
static void device_close(Device *device)
{
        store_write_state(device->services->store, &device->name, device->vm, XENBUS_CLOSING,
                          XENBUS_CLOSED);
        device->wish = WISH_CLOSED;
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
                device_frontend_start(device);
                break;
        case ACTION_CLEAR:
                device_clear(device);
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
