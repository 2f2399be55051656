/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answers xen-virtioctl over the control socket (common/control.h). Only looks, never changes. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/macros.h"

typedef struct Control Control;

/* One device, as it is told to people and programs. The texts live during the call. */
typedef struct DeviceReport {
        const char *instance;
        uint16_t domid;
        const char *domain;
        uint32_t device_id;
        const char *state;
        uint64_t base;
        uint16_t server;
        const char *error; /* NULL if nothing is wrong */
} DeviceReport;

typedef void ControlVisitor(void *argument, const DeviceReport *report);

/* Has to call the visitor for each device. */
typedef void ControlList(void *userdata, ControlVisitor *visit, void *argument);

/* Listens in the folder rundir. Returns 0 or a negative errno. */
int control_new(sd_event *event, int rundir, ControlList *list, void *userdata,
                Control **ret_control) _warn_unused_;
Control *control_free(Control *control);
