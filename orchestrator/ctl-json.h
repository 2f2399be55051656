/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What xen-virtioctl prints for programs. */

#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "orchestrator/device-report.h"

/* Adds a device's fields to the object that is being built. A text that is empty is null. */
void json_add_report(JsonBuilder *builder, const DeviceReport *report);

/* Adds a member; text may be NULL, for null. */
void json_add_text(JsonBuilder *builder, const char *name, const char *text);

/* Prints what was built, over several lines if pretty. */
void json_print(JsonBuilder *builder, bool pretty);
