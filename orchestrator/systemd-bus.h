/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection to systemd: by its own socket, which root may use. It works without a message bus,
 * and does not go when the message bus does. A direct connection has no names, gets all signals
 * without asking for them, and does not need Subscribe().
 */

#include <systemd/sd-bus.h>

#include "common/macros.h"

#define SYSTEMD_NAME    "org.freedesktop.systemd1"
#define SYSTEMD_PATH    "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

/*
 * Opens systemd's own socket, or the message bus where that is not to be had. *ret_sender is the
 * name that systemd's signals come from, NULL if the connection is direct. Returns 0 or a negative
 * errno.
 */
int systemd_bus_open(sd_bus **ret_bus, const char **ret_sender) _warn_unused_;
