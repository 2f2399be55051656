/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What systemd has written down for journald of a unit with LogExtraFields=: a file that it means
 * to remove when the unit is gone, but by another name (unit_unlink_state_files(), src/core/unit.c,
 * 252 and 257). Each device would leave two, for as long as the host is up.
 */

/* Where they are, from the folder of run-time units (dropin.h). */
#define UNIT_FIELDS_PREFIX "../units/log-extra-fields:"

/* Removes that of a unit that is down, if it is there. */
void unit_fields_remove(int unitdir, const char *unit);
