/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/memory-way.h"

#include <errno.h>

int memory_way_choose(bool grants, bool xen_mmap, MemoryWay *ret_way)
{
        if (grants && !xen_mmap)
                return -EOPNOTSUPP;
        if (grants)
                *ret_way = MEMORY_WAY_GRANTS;
        else
                *ret_way = xen_mmap ? MEMORY_WAY_FOREIGN : MEMORY_WAY_FILE;
        return 0;
}

const char *memory_way_describe(MemoryWay way)
{
        switch (way) {
        case MEMORY_WAY_FILE:
                return "mapped by the backend as a file";
        case MEMORY_WAY_FOREIGN:
                return "mapped by the backend (XEN_MMAP, foreign)";
        case MEMORY_WAY_GRANTS:
                return "mapped by the backend (XEN_MMAP, grants)";
        case _MEMORY_WAY_MAX:
        default:
                return "?";
        }
}
