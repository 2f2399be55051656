/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a profile may say about when its backend is tried again: its section [Restart]. Pure. */

#include "common/macros.h"
#include "orchestrator/restart.h"

/* A time that a profile may name, microseconds. */
#define RESTART_POLICY_MIN_USEC (10 * USEC_PER_MSEC)
#define RESTART_POLICY_MAX_USEC (3600 * USEC_PER_SEC)

/* Whether there is such a key. */
bool restart_policy_has(const char *key);

/*
 * Sets what a key of the section says: seconds, up to three digits behind the point. Returns 0, or
 * -EINVAL with a reason in *ret_reason that is no whole sentence, and that the caller frees.
 */
int restart_policy_set(RestartPolicy *policy, const char *key, const char *value,
                       char **ret_reason) _warn_unused_;
