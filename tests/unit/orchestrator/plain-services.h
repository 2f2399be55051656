/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of devices hand them all alike. */

#include "orchestrator/device.h"

/*
 * Makes the folders for devices and units in root, and opens them. Nobody holds a range, no order
 * is in anybody's way, and changes are nobody's news; the rest is the caller's to set.
 */
DeviceServices plain_services_make(const char *root);

void plain_services_close(DeviceServices *services);
