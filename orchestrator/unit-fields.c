/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/unit-fields.h"

#include <stdio.h>
#include <unistd.h>

#include "common/device-name.h"

void unit_fields_remove(int unitdir, const char *unit)
{
        char path[sizeof(UNIT_FIELDS_PREFIX) + DEVICE_UNIT_MAX];
        int r;

        snprintf(path, sizeof(path), UNIT_FIELDS_PREFIX "%s", unit);
        r = unlinkat(unitdir, path, 0);
        (void)r; /* it is in nobody's way */
}
