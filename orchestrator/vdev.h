/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of virtual disks in xl.cfg, "xvda", and the devids that they mean (xen-vbd-interface(7)).
 */

#include <stdint.h>

#include "common/macros.h"

/* Reads xvdX, sdX, hdX, each with or without a partition, dDpP, or a number. Returns 0 or -EINVAL.
 */
int vdev_parse(const char *name, uint32_t *ret_devid) _warn_unused_;
