/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Answers xen-virtioctl over the control socket (common/control.h). Those may look whom the
 * configuration lets; only root may change anything. Who it is the kernel tells, for each
 * connection. A client that does not read what it is sent, or sends without an end, is dropped, and
 * none has its turn before the devices.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "common/macros.h"
#include "orchestrator/device-report.h"
#include "orchestrator/readers.h"

typedef struct Control Control;

typedef void ControlVisitor(void *argument, const DeviceReport *report);

/* What the connections ask for. */
typedef struct ControlOps {
        /* Has to call the visitor for each device. The texts of a report live during the call. */
        void (*list)(void *userdata, ControlVisitor *visit, void *argument);

        /* Returns the text format of Prometheus; the caller frees it. */
        char *(*metrics)(void *userdata);

        /* Returns who may look, from the next connection on. */
        const Readers *(*readers)(void *userdata);

        /* Returns how things are, in one line that lives until the next change. */
        const char *(*status)(void *userdata);

        /*
         * Starts the device's backend, frontend, or both anew. Returns 0, long before that is done;
         * -ENODEV if there is no such device; -EBUSY if it is ending; -ENOTCONN without systemd.
         */
        int (*restart)(void *userdata, const char *instance, bool backend, bool frontend);
} ControlOps;

/* Listens in the folder, which it makes everybody's to enter. Returns 0 or a negative errno. */
int control_new(sd_event *event, const char *folder, const ControlOps *ops, void *userdata,
                Control **ret_control) _warn_unused_;
Control *control_free(Control *control);

/* Tells all connections that the device has got another state. */
void control_announce(Control *control, const DeviceReport *report);
