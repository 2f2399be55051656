/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xen-virtio.conf: what people configure of xen-virtiod itself. */

#include <glib.h>

#include "common/macros.h"
#include "orchestrator/readers.h"

#define SETTINGS_FILE "xen-virtio.conf"

typedef struct Settings {
        unsigned int reserved_servers; /* IOREQ servers of each guest that are left to others */
        Readers readers;               /* of the control socket */
} Settings;

/* What is used where there is no file, or it says nothing. */
Settings settings_default(void);

/*
 * Takes over what the text of the file says; the path is for messages.
 *
 * Returns 0, or -EINVAL with one sentence in *ret_message that begins with FILE:LINE:COLUMN; then
 * the settings are left as they were. The caller frees it.
 */
int settings_parse(const char *path, const char *text, gsize size, Settings *settings,
                   char **ret_message) _warn_unused_;

/*
 * Reads the file in the first of the folders that has it; no file is an empty one. Returns as
 * settings_parse(), or another negative errno with a message.
 */
int settings_read(const char *const *folders, Settings *settings, char **ret_message) _warn_unused_;
