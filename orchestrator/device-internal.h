/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What device.c (which observes) and device-execute.c (which acts) share, and nobody else sees. */

#include "common/log.h"
#include "orchestrator/device.h"
#include "orchestrator/restart.h"

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
        Launch launch; /* if claimed */
        Unit *frontend, *backend, *slice;
        UnitPhase frontend_phase, backend_phase; /* when last looked at */
        bool stop_requested;
        uint64_t stop_deadline;

        /* History */
        Restart claim_restart, backend_restart, frontend_restart;
        uint64_t seen_usec;
        bool introduced; /* "seen" was logged */
        bool answered;   /* the frontend has been READY=1 since it was claimed or adopted */
        char *error;     /* what the node "error" says */
};

LogContext device_context(const Device *device);

#define device_log(device, priority, id, error, ...)                                               \
        ({                                                                                         \
                LogContext context_ = device_context(device);                                      \
                log_full(priority, &context_, id, error, __VA_ARGS__);                             \
        })

void device_set_state(Device *device, DeviceState state);
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
