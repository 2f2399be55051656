/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What device.c (which observes), device-execute.c (which acts), device-claim.c (which takes ranges
 * and gives them back), device-frontend.c and device-describe.c share, and nobody else sees.
 */

#include "common/log.h"
#include "orchestrator/device.h"
#include "orchestrator/restart.h"
#include "orchestrator/shared-member.h"

struct Device {
        const DeviceServices *services;
        DeviceName name;
        char instance[DEVICE_INSTANCE_MAX];
        DeviceState state; /* written by device_set_state() only */
        sd_event_source *timer;

        /* Desired */
        DeviceSpec *spec; /* NULL: the nodes have never made sense */
        Wish wish;
        char *vm; /* the node "vm" of the domain that has the number now */
        bool domain_exists;

        /* Observed */
        XenbusState xenbus;
        bool claimed;
        bool confirmed; /* the guest of the claim was seen after it: it was not the next one */
        Launch launch;  /* if claimed */
        SharedMember *member; /* of the guest's shared frontend; NULL: the unit is its own */
        Unit *frontend, *backend, *slice;
        UnitPhase frontend_phase, backend_phase; /* when last looked at */
        bool leftover;                           /* the units have not been down since the claim */
        bool stop_requested;
        uint64_t stop_deadline;

        /* History */
        Restart claim_restart, backend_restart, frontend_restart;
        uint64_t seen_usec;
        uint64_t asked_usec; /* since when the toolstack has waited for state 2 */
        bool introduced;     /* "seen" was logged */
        bool answered;       /* the frontend has been READY=1 since it was claimed or adopted */
        bool outdated;       /* the backend would be started otherwise now */
        char *error;         /* what the node "error" says */
        LogLimit refusals;
};

LogContext device_context(const Device *device);

#define device_log(device, priority, id, error, ...)                                               \
        ({                                                                                         \
                LogContext context_ = device_context(device);                                      \
                log_full(priority, &context_, id, error, __VA_ARGS__);                             \
        })

void device_set_state(Device *device, DeviceState state);

/* "claimed" */
const char *device_state_name(DeviceState state);

/*
 * Says once that the device was seen: after its claim, which would have to wait for the journal
 * otherwise.
 */
void device_introduce(Device *device);

double device_msec_since_seen(const Device *device);
bool device_claim_is_current(const Device *device);

/* Asks for another look, after the nodes have been read again if read is true. */
void device_enqueue(Device *device, bool read);

/* Puts the text into the node "error", if it does not say so already; NULL removes it. */
void device_write_error(Device *device, const char *text);

/* Reports that the device cannot be served for now. error is a negative errno or 0. */
void device_fail(Device *device, int error, const char *text);

/* Takes over what systemd says by now. */
void device_observe(Device *device);

void device_execute(Device *device, Action action);

/* Compares what the backend was started with with what the configuration says by now. */
void device_compare_backend(Device *device);

/* Takes the range, and writes down that it is ours. Returns 0 or a negative errno. */
int device_claim_take(Device *device) _warn_unused_;

/*
 * Has the frontend know what the configuration says by now, as long as no driver can have seen what
 * it said before: a mistake in it may have been mended.
 */
void device_claim_configure(Device *device);

/*
 * Removes all files and gives the range back. Returns 0, or a negative errno, which has been
 * logged: something is left, and another call goes on with it.
 */
int device_claim_release(Device *device) _warn_unused_;

/* The units are down: whatever comes up from now on is of this claim. */
void device_claim_settle(Device *device);

/*
 * Takes over how a process is by now. Returns whether it has gone down by itself: then it shall
 * come up again, but not at once.
 */
bool device_follow_phase(const Device *device, UnitPhase now, UnitPhase *phase, Restart *restart);

/* Says that a process has gone down by itself. */
void device_note_end(Device *device, const char *role, const char *end, const char *unit);

/* Has a unit of the device's own started anew. */
void device_unit_restart(Unit *unit, Restart *restart);

/*
 * The frontend: a unit of the device's own, or its part of the process that the guest's devices
 * share. The shared one from now on; or from long ago, if the launch file has the shared server.
 */
void device_frontend_join(Device *device, SharedFrontend *shared, uint64_t base);
void device_frontend_adopt(Device *device);

UnitPhase device_frontend_phase(const Device *device);
void device_frontend_observe(Device *device);
void device_frontend_start(Device *device);
void device_frontend_restart(Device *device, bool alone);
uint32_t device_frontend_restarts(const Device *device);
const char *device_frontend_instance(const Device *device);
