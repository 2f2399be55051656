/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which of a guest's IOREQ servers gets a device. Xen has a few for each guest and libxl places for
 * more devices, so the first devices get one of their own, and all further ones share one. Pure.
 *
 * Xen does not tell how many servers a guest has, of ours and of others; but a new server gets the
 * lowest number that is free (ioreq_server_create() in xen/common/ioreq.c), so all below are taken.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/launch.h"

#define IOREQ_SERVERS_MAX 8U /* for a guest: MAX_NR_IOREQ_SERVERS in xen/include/xen/ioreq.h */

/* Servers that others may take, unless the configuration says otherwise. */
#define RESERVED_SERVERS_DEFAULT 1U
#define RESERVED_SERVERS_MAX     (IOREQ_SERVERS_MAX - 1)

/* Whether the frontend of several devices can serve it: each has its own way to seeded memory. */
bool placement_can_share(const Launch *launch);

/*
 * Whether a server that was just made for a device becomes the one that the guest's further devices
 * share: its number is the last one that is not reserved, or beyond, since a device that is there
 * counts more than somebody who may come. reserved: at most RESERVED_SERVERS_MAX.
 */
bool placement_opens_shared(uint16_t server, unsigned int reserved);
