/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How virtio device ids (virtio 1.3, section 5) are written: by the names of device-type.h for
 * people, and by the type strings of xl.cfg(5) for libxl.
 */

#include <stdint.h>

#include "common/macros.h"

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

/*
 * Reads libxl's type string, "virtio,device1a": the id in hexadecimal digits, without a prefix.
 * Returns 0 and the id, from 1 to DEVICE_ID_MAX, or 0 for "virtio,device", which does not say it;
 * -EINVAL if it is no such string; -ERANGE if it is one of another id.
 */
int device_id_parse_xl(const char *text, uint32_t *ret_id) _warn_unused_;
