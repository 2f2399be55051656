/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a device and its profile to a backend that systemd can start. */

#include "orchestrator/profile-list.h"
#include "orchestrator/spec.h"

/*
 * Checks what the backend needs and composes the text of its drop-in.
 *
 * Returns 0 and the text; or a negative errno with one sentence in *ret_message that says what is
 * wrong: the profile, the program or the disk. The caller frees both.
 */
int backend_prepare(const DeviceSpec *spec, const Profiles *profiles, char **ret_dropin,
                    char **ret_message) _warn_unused_;
