/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/memory-way.h"

#include <errno.h>

int memory_way_choose(MemoryChoice choice, bool grants, bool xen_mmap, MemoryWay *ret_way)
{
        const bool needs_xen_mmap = grants || choice == MEMORY_XEN_MMAP;

        if (needs_xen_mmap && !xen_mmap)
                return -EOPNOTSUPP;
        if (grants)
                *ret_way = MEMORY_WAY_GRANTS;
        else if (choice == MEMORY_SEED)
                *ret_way = MEMORY_WAY_SEEDED;
        else if (choice == MEMORY_PRELOAD || !xen_mmap)
                *ret_way = MEMORY_WAY_FILE;
        else
                *ret_way = MEMORY_WAY_FOREIGN;
        return 0;
}

bool memory_way_is_xen_mmap(MemoryWay way)
{
        return way == MEMORY_WAY_FOREIGN || way == MEMORY_WAY_GRANTS;
}

const char *memory_way_describe(MemoryWay way)
{
        switch (way) {
        case MEMORY_WAY_FILE:
                return "mapped by the backend as a file";
        case MEMORY_WAY_SEEDED:
                return "mapped by the backend as a file of seeded grants";
        case MEMORY_WAY_FOREIGN:
                return "mapped by the backend (XEN_MMAP, foreign)";
        case MEMORY_WAY_GRANTS:
                return "mapped by the backend (XEN_MMAP, grants)";
        case _MEMORY_WAY_MAX:
        default:
                return "?";
        }
}
