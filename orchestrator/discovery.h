/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends that say by themselves how they are run: the files of QEMU's
 * docs/interop/vhost-user.json, which packages of backends install for libvirt.
 *
 *   { "description": "a backend", "type": "fs", "binary": "/usr/libexec/virtiofsd", "tags": [ ] }
 *
 * The command line is the conventional one of docs/interop/vhost-user.rst: --socket-path=PATH, and
 * for a disk --blk-file=PATH.
 */

#include "orchestrator/profile.h"

#define DISCOVERY_SUFFIX ".json"

/*
 * Makes a profile from the text of one file. Returns as profile_parse(). Members that the
 * specification does not have are no mistake, and of those that it has only type and binary count.
 */
Profile *discovery_parse(const char *file, const char *text, gsize size);
