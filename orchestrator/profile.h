/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backend profiles: how to run a backend for a virtio device type. One file each,
 *
 *   [Backend]
 *   Type=blk                               name or number of the type
 *   ExecStart=/usr/bin/prog --x %{socket}  split like a shell does, but run without one
 *   Package=prog                           of Debian's, that has the program: for messages
 *   Memory=auto                            or xen-mmap, seed, preload
 *   ReadWritePaths=%{disk.path}            these three: lists of words, split likewise
 *   ReadOnlyPaths=
 *   Environment=NAME=value
 *
 *   [Restart]                              when a backend that ends is tried again, in seconds
 *   DelaySec=0.1                           doubled each time, up to
 *   MaxDelaySec=60
 *   HealthySec=60                          after so long it begins with DelaySec again
 *
 *   [Options]                              keys that guest files may or have to set: %{shared_dir}
 *   shared_dir=required
 *   cache=default auto                     what follows may have variables, and may be empty
 *
 *   [Service]                              how its sandbox is other than that of all backends:
 *   PrivateNetwork=no                      directives of systemd.exec(5), which may have variables
 */

#include <stdint.h>

#include "common/memory-choice.h"
#include "orchestrator/position.h"
#include "orchestrator/restart.h"
#include "orchestrator/sandbox-setting.h"

#define PROFILE_OPTIONS_MAX 32

typedef struct ProfileOption {
        char *key;      /* lower-case letters, digits, "_" and "-", the first one a letter */
        char *standard; /* what it is if nobody sets it, yet to be expanded; NULL: required */
} ProfileOption;

typedef struct Profile {
        /* NULL, or why nothing can be run by it: one sentence that begins with FILE:LINE:COLUMN.
         * The other members are then what could be read so far; device_id may be 0. */
        char *problem;
        char *file; /* its path, for messages */
        char *name; /* the file's without ".conf", as guest files have it */
        uint32_t device_id;
        MemoryChoice memory;
        uint16_t config_size; /* of its configuration space; 0: as the type's */
        Position command_at;
        char **command; /* words yet to be expanded; never empty */
        char *package;  /* the name of Debian's package that has the program; NULL: not known */
        char **read_write_paths;
        char **read_only_paths;
        char **environment;
        RestartPolicy restart;
        ProfileOption options[PROFILE_OPTIONS_MAX];
        unsigned int n_options;
        char *settings[SANDBOX_SETTINGS_MAX]; /* by their index, yet to be expanded; or NULL */
} Profile;

#define PROFILE_SUFFIX ".conf"

/*
 * Reads the text of one profile. Never NULL but for an empty file. Something wrong with it stands
 * in Profile.problem.
 */
Profile *profile_parse(const char *file, const char *text, gsize size);

/* The option of that name, or a negative value. */
int profile_find_option(const Profile *profile, const char *key);

/* An empty one, to be filled in: named after the file, without the suffix. */
Profile *profile_new(const char *file, const char *suffix);

Profile *profile_free(Profile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profile, profile_free)
