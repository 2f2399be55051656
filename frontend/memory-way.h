/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How the guest's memory gets to a backend. Pure: what the guest's driver hands out, what the
 * backend offers and what the administrator wants decide.
 */

#include <stdbool.h>

#include "common/macros.h"
#include "common/memory-choice.h"

typedef enum MemoryWay {
        MEMORY_WAY_FILE, /* it maps descriptors as if they were files; the preload library helps */
        MEMORY_WAY_SEEDED,  /* the same of descriptors whose pages dom0 has granted itself */
        MEMORY_WAY_FOREIGN, /* XEN_MMAP: it maps the pages of a domain by itself */
        MEMORY_WAY_GRANTS,  /* XEN_MMAP: it maps the pages that the guest has granted, one by one */
        _MEMORY_WAY_MAX,
} MemoryWay;

/*
 * grants: the guest's driver hands out grants, not addresses; then that decides, and not choice.
 * xen_mmap: the backend offers XEN_MMAP; one that is built for it often has no other way.
 *
 * Returns 0, or -EOPNOTSUPP if the backend cannot do what the guest or the choice wants.
 */
int memory_way_choose(MemoryChoice choice, bool grants, bool xen_mmap,
                      MemoryWay *ret_way) _warn_unused_;

/* Whether XEN_MMAP is to be agreed on. */
bool memory_way_is_xen_mmap(MemoryWay way);

/* What the log calls it. */
const char *memory_way_describe(MemoryWay way);
