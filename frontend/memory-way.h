/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How the guest's memory gets to a backend. Pure: what the guest's driver hands out and what the
 * backend offers decide.
 */

#include <stdbool.h>

#include "common/macros.h"

typedef enum MemoryWay {
        MEMORY_WAY_FILE, /* it maps descriptors as if they were files; the preload library helps */
        MEMORY_WAY_FOREIGN, /* XEN_MMAP: it maps the pages of a domain by itself */
        MEMORY_WAY_GRANTS,  /* XEN_MMAP: it maps the pages that the guest has granted, one by one */
        _MEMORY_WAY_MAX,
} MemoryWay;

/*
 * grants: the guest's driver hands out grants, not addresses. xen_mmap: the backend offers
 * XEN_MMAP; one that is built for it often has no other way.
 *
 * Returns 0, or -EOPNOTSUPP if the backend cannot do what the guest wants.
 */
int memory_way_choose(bool grants, bool xen_mmap, MemoryWay *ret_way) _warn_unused_;

/* What the log calls it. */
const char *memory_way_describe(MemoryWay way);
