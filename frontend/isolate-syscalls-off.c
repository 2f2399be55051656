/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For sanitizer builds, which need system calls of their own: no filter. */

#include "frontend/isolate.h"

int isolate_syscalls(bool maps_memory _unused_)
{
        return 0;
}
