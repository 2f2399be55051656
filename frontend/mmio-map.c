/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/mmio-map.h"

#include <errno.h>

/* Returns where the range stands in the map, or map->n. */
static unsigned int range_index(const MmioMap *map, uint64_t base)
{
        unsigned int i = 0;

        while (i < map->n && map->ranges[i].base != base)
                i++;
        return i;
}

/* Returns a place that is free, or that one can do without, or DEVICE_LIST_MAX. */
static unsigned int place_find(const MmioMap *map)
{
        unsigned int i = 0;

        if (map->n < DEVICE_LIST_MAX)
                return map->n;
        while (i < map->n && map->ranges[i].device)
                i++;
        return i;
}

int mmio_map_add(MmioMap *map, uint64_t base, void *device)
{
        unsigned int i = range_index(map, base);

        if (i < map->n && map->ranges[i].device)
                return -EEXIST;
        if (i == map->n)
                i = place_find(map);
        if (i == DEVICE_LIST_MAX)
                return -ENOSPC;
        map->ranges[i].base = base;
        map->ranges[i].device = device;
        if (i == map->n)
                map->n++;
        return 0;
}

void mmio_map_remove(MmioMap *map, uint64_t base)
{
        const unsigned int i = range_index(map, base);

        if (i < map->n)
                map->ranges[i].device = NULL;
}

void *mmio_map_find(const MmioMap *map, uint64_t base)
{
        const unsigned int i = range_index(map, base);

        return i < map->n ? map->ranges[i].device : NULL;
}

bool mmio_map_knows(const MmioMap *map, uint64_t base)
{
        return range_index(map, base) < map->n;
}
