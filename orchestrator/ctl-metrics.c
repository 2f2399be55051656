/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "common/macros.h"
#include "orchestrator/ctl-bus.h"

int ctl_metrics(const Ctl *ctl)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        int r, status;

        status = ctl_connect(ctl, &bus);
        if (status == CTL_OK)
                status = ctl_call(bus, "GetMetrics", &reply, "");
        if (status != CTL_OK)
                return status;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return ctl_bad_answer(r);
        fputs(text, stdout);
        return CTL_OK;
}
