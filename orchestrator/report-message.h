/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A device's report on the bus: a{sv}, so that a field more or less is no other interface. What is
 * unknown is skipped, what is missing is empty or 0.
 */

#include <systemd/sd-bus.h>

#include "orchestrator/device-report.h"

/* Returns 0 or a negative errno. */
int report_append(sd_bus_message *message, const DeviceReport *report) _warn_unused_;

/* Returns 1 with a report, whose texts live as long as the message; 0 at the end of an array of
 * them; or a negative errno.
 */
int report_read(sd_bus_message *message, DeviceReport *ret_report) _warn_unused_;
