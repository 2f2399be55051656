/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a driver can go on with a backend that has been negotiated with. Pure. */

#include "frontend/vhost-rings.h"

/*
 * NULL, or why the rings cannot go on with this backend: it lacks what the driver uses, or the
 * place where an earlier one has stopped is not known.
 */
const char *vhost_refusal(const VhostRings *rings);
