/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of the virtio device ids (virtio 1.3, section 5), for people to read and to write. */

#include <stdint.h>

#define DEVICE_ID_MAX 63

/* "blk"; NULL for an id without a name. */
const char *device_id_name(uint32_t id);

/* The id of our name or of QEMU's ("block", docs/interop/vhost-user.json); 0 if there is none. */
uint32_t device_id_find(const char *name);

/*
 * Reads a type as configuration files have it: a name, or a number from 1 to DEVICE_ID_MAX. Returns
 * 0 if it is neither.
 */
uint32_t device_id_parse(const char *text);
