/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backend profiles: how to run a backend for a virtio device type. One file each,
 *
 *   [Backend]
 *   Type=blk                               name or number of the type
 *   ExecStart=/usr/bin/prog --x %{socket}  split like a shell does, but run without one
 *   Memory=auto                            or xen-mmap, seed, preload
 *   ReadWritePaths=%{disk.path}            these three: lists of words, split likewise
 *   ReadOnlyPaths=
 *   Environment=NAME=value
 */

#include <glib.h>
#include <stdint.h>

#include "common/memory-choice.h"

typedef struct Profile {
        char *file; /* its path, for messages */
        uint32_t device_id;
        MemoryChoice memory;
        char **command; /* words yet to be expanded; never empty */
        char **read_write_paths;
        char **read_only_paths;
        char **environment;
} Profile;

/*
 * Reads the text of one profile. Returns 0; a positive value for an empty file; -EINVAL with one
 * sentence in *ret_message that names the file and the key.
 */
int profile_parse(const char *file, const char *text, gsize size, Profile **ret_profile,
                  char **ret_message);

Profile *profile_free(Profile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profile, profile_free)
