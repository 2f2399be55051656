/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/control.h"
#include "common/macros.h"
#include "orchestrator/ctl-bus.h"

int ctl_restart(const Ctl *ctl)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        const char *part = "";
        int status;

        if (ctl->backend != ctl->frontend)
                part = ctl->backend ? CONTROL_BACKEND : CONTROL_FRONTEND;
        status = ctl_connect(ctl, &bus);
        return status == CTL_OK ? ctl_call(bus, "RestartDevice", NULL, "ss", ctl->argument, part)
                                : status;
}
