/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the unit file cannot take from a frontend from outside, because it needs it until it has
 * opened the hypervisor's devices.
 */

#include "common/macros.h"

/*
 * Becomes the owner of the folder that $RUNTIME_DIRECTORY names: the user that systemd made for
 * this process alone. Without that variable (tests) the user stays as it is.
 *
 * Should: be called when everything that belongs to root is open.
 * Mustn't: leave a way back; it is checked that there is none.
 */
int isolate_user(void) _warn_unused_;

/*
 * Allows, from now on, only the system calls that serving a device takes; any other one kills the
 * process. To map the guest's memory is among them if it says so.
 *
 * Should: be the last step before the guest's first byte is read.
 * Mustn't: be followed by the opening of any file.
 */
int isolate_syscalls(bool maps_memory) _warn_unused_;
