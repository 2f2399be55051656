/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The monotonic clock of a program that links this, its libraries included: it stands still until
 * it is moved. So no deadline passes by itself, each can be let pass at once, and a run can be
 * repeated. A loop that is not to wait (loop_turn()) goes by it.
 */

#include <stdint.h>

void fake_clock_reset(void);
void fake_clock_advance(uint64_t usec);
