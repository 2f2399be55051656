/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client's end of the control socket (common/control.h). */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "orchestrator/ctl.h"
#include "orchestrator/device-report.h"

/* The devices as the daemon told of them; the reports' texts belong to the reply. */
typedef struct CtlDevices {
        sd_bus_message *reply;
        GArray *reports; /* of DeviceReport, by domain and name */
} CtlDevices;

/* The following return CTL_OK, or another exit status after they have said what was wrong. */

int ctl_connect(const Ctl *ctl, sd_bus **ret_bus);

/* Calls a method of the manager. The arguments are those of sd_bus_message_append(). */
int ctl_call(sd_bus *bus, const char *method, sd_bus_message **ret_reply, const char *types, ...);

/* To be cleared in any case. */
int ctl_devices_get(const Ctl *ctl, CtlDevices *ret_devices);
void ctl_devices_clear(CtlDevices *devices);

/* The property Version of the manager; NULL if it cannot be had. The caller frees it. */
char *ctl_daemon_version(sd_bus *bus);

/* The version of the systemd that runs, as it says; NULL if it does not. The caller frees it. */
char *ctl_systemd_version(void);

/* Says that an answer makes no sense, as that of another version's daemon may. */
int ctl_bad_answer(int error);
