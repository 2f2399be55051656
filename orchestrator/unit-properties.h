/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd's signals say of a unit, as far as it counts. */

#include <systemd/sd-bus.h>

#include "common/macros.h"
#include "orchestrator/unit-status.h"

/*
 * Takes over what a PropertiesChanged has of the status; all else stays as it is. Returns 0 or a
 * negative errno: the message is not as it should be, and the status has what came before that.
 */
int unit_properties_read(sd_bus_message *message, UnitStatus *status) _warn_unused_;
