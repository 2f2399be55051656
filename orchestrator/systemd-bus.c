/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/systemd-bus.h"

#include <unistd.h>

#define PRIVATE_SOCKET "/run/systemd/private"

int systemd_bus_open(sd_bus **ret_bus, const char **ret_sender)
{
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        if (access(PRIVATE_SOCKET, W_OK) < 0) {
                *ret_sender = SYSTEMD_NAME;
                return sd_bus_open_system(ret_bus);
        }
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=" PRIVATE_SOCKET);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;

        *ret_sender = NULL;
        *ret_bus = steal_pointer(bus);
        return 0;
}
