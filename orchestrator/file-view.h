/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a backend sees of the host's files: programs, what the profile names, and empty folders
 * where the host has everything else. Whose a file is does not matter then: images are root's
 * mostly, the backend is not, and nothing is ever given to it.
 *
 * systemd cannot bind every path: a colon separates what is bound from where to, a quote or a
 * backslash does not survive (257), and "/" is everything. A backend that is to have one of those
 * sees all of the host's files but for /run, to read, and writes the ones that were named.
 */

#include "orchestrator/dropin.h"

/* The folders at the root of the file system, "/srv", sorted. g_strfreev() frees them. */
char **file_view_folders(void);

/* Adds what the paths that are in the drop-in call for, where the host has these folders. Pure. */
void file_view_add(Dropin *dropin, const char *const *folders);

/* Whether every backend sees the path anyway: programs and libraries lie there. Pure. */
bool file_view_has(const char *path);
