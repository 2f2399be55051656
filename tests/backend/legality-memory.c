/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* "Memory region description", SET_MEM_TABLE and the slots of CONFIGURE_MEM_SLOTS. */

#include <string.h>

#include "tests/backend/legality.h"

#define PAGE_SIZE UINT64_C(4096)

static bool is_range(uint64_t start, uint64_t size)
{
        uint64_t end;

        return !__builtin_add_overflow(start, size, &end);
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
        return a < b + b_size && b < a + a_size;
}

static const char *xen_check(const WireRegion *region)
{
        const uint32_t kind = region->xen_flags & (WIRE_XEN_FOREIGN | WIRE_XEN_GRANT);
        const uint32_t rest = region->xen_flags & ~(WIRE_XEN_FOREIGN | WIRE_XEN_GRANT);

        if (kind == (WIRE_XEN_FOREIGN | WIRE_XEN_GRANT) || (rest & ~WIRE_XEN_NO_ADVANCE))
                return "Xen flags of a region that cannot be";
        /* Only what is granted page by page can be mapped when it is needed. */
        if (rest && kind != WIRE_XEN_GRANT)
                return "a region that is not granted cannot be mapped later";
        if (kind && region->mmap_offset != 0)
                return "an offset into a descriptor of Xen's";
        return NULL;
}

static const char *region_check(const WireRegion *region)
{
        if (region->size == 0)
                return "an empty region";
        if ((region->guest_address | region->size | region->user_address | region->mmap_offset) %
            PAGE_SIZE)
                return "a region that is not of whole pages";
        if (!is_range(region->guest_address, region->size) ||
            !is_range(region->user_address, region->size) ||
            !is_range(region->mmap_offset, region->size))
                return "a region beyond the end of addresses";
        return xen_check(region);
}

static const char *pair_check(const WireRegion *a, const WireRegion *b)
{
        if (overlaps(a->guest_address, a->size, b->guest_address, b->size))
                return "regions that overlap in the guest";
        if (overlaps(a->user_address, a->size, b->user_address, b->size))
                return "regions whose user addresses overlap";
        return NULL;
}

static const char *regions_check(const WireRegion *regions, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++) {
                const char *broken = region_check(&regions[i]);

                for (uint32_t j = 0; j < i && !broken; j++)
                        broken = pair_check(&regions[j], &regions[i]);
                /* rust-vmm's memory takes regions in ascending order only. */
                if (!broken && i > 0 && regions[i].guest_address < regions[i - 1].guest_address)
                        broken = "regions that are not in ascending order";
                if (broken)
                        return broken;
        }
        return NULL;
}

bool legality_is_mapped(const Legality *legality, uint64_t address, uint64_t size)
{
        if (!is_range(address, size))
                return false;
        for (uint32_t i = 0; i < legality->n_regions; i++) {
                const WireRegion *region = &legality->regions[i];

                if (address >= region->user_address &&
                    address + size <= region->user_address + region->size)
                        return true;
        }
        return false;
}

const char *legality_table_check(Legality *legality, const WireHeader *header,
                                 const WirePayload *payload, unsigned int n_fds)
{
        const bool xen = legality_has_protocol(legality, WIRE_PROTOCOL_XEN_MMAP);
        WireRegion regions[WIRE_REGIONS_MAX];
        const char *broken;
        uint32_t n;

        if (header->size < sizeof(uint64_t))
                return "a wrong size of the payload";
        if (legality->has_slots)
                return "SET_MEM_TABLE after ADD_MEM_REG";
        n = wire_table_read(payload, xen, regions);
        if (n == 0 || n > WIRE_REGIONS_MAX)
                return n == 0 ? "a memory table without regions" : "too many regions";
        if (header->size != sizeof(uint64_t) + n * (xen ? WIRE_REGION_XEN_SIZE : WIRE_REGION_SIZE))
                return "a wrong size of the payload";
        if (n_fds != n)
                return "not one descriptor for each region";
        broken = regions_check(regions, n);
        if (broken)
                return broken;

        memcpy(legality->regions, regions, n * sizeof(regions[0]));
        legality->n_regions = n;
        legality->has_table = true;
        return legality_rings_are_mapped(legality)
                       ? NULL
                       : "a memory table that takes a started ring away";
}

const char *legality_slot_add_check(Legality *legality, const WirePayload *payload)
{
        const char *broken;
        WireRegion region;

        wire_slot_read(payload, legality_has_protocol(legality, WIRE_PROTOCOL_XEN_MMAP), &region);
        if (legality->has_table)
                return "ADD_MEM_REG after SET_MEM_TABLE";
        if (legality->n_regions == WIRE_SLOTS_MAX)
                return "too many regions";
        broken = region_check(&region);
        for (uint32_t i = 0; i < legality->n_regions && !broken; i++)
                broken = pair_check(&legality->regions[i], &region);
        if (broken)
                return broken;
        legality->regions[legality->n_regions++] = region;
        legality->has_slots = true;
        return NULL;
}

const char *legality_slot_remove_check(Legality *legality, const WirePayload *payload)
{
        WireRegion region;

        wire_slot_read(payload, legality_has_protocol(legality, WIRE_PROTOCOL_XEN_MMAP), &region);
        for (uint32_t i = 0; i < legality->n_regions; i++) {
                const WireRegion *known = &legality->regions[i];

                if (known->guest_address != region.guest_address || known->size != region.size ||
                    known->user_address != region.user_address)
                        continue;
                legality->n_regions--;
                memmove(&legality->regions[i], &legality->regions[i + 1],
                        (legality->n_regions - i) * sizeof(region));
                return legality_rings_are_mapped(legality)
                               ? NULL
                               : "REM_MEM_REG takes a started ring away";
        }
        return "REM_MEM_REG of a region that is not there";
}
