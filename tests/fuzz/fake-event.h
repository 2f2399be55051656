/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * As much of sd-event as a session uses, over fake-descriptor.h and fake-clock.h: a turn is a look
 * at each source, and no system call. One source is dispatched a turn, in the order in which they
 * were made, each once before any again.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

/* Returns whether anything was dispatched. */
bool fake_event_run(sd_event *event);
