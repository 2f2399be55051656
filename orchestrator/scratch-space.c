/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/scratch-space.h"

#include <endian.h>
#include <glib.h>
#include <string.h>

/* A region is an address and a size, both of two cells. */
#define REGION_SIZE 16

/* Of an arm64 kernel with pages of 4 KiB: SECTION_SIZE_BITS, and what the start of the linear
 * mapping is rounded down to. */
#define SECTION_SIZE      (UINT64_C(1) << 27)
#define LINEAR_START_UNIT (UINT64_C(1) << 30)

static uint64_t number_at(const uint8_t *bytes)
{
        uint64_t number;

        memcpy(&number, bytes, sizeof(number));
        return be64toh(number);
}

/* What of a region is whole sections from start on. */
static uint64_t region_sections(uint64_t address, uint64_t size, uint64_t start)
{
        const uint64_t end = size > UINT64_MAX - address ? UINT64_MAX : address + size;
        const uint64_t begin = MAX(address, start);
        const uint64_t first = begin / SECTION_SIZE + (begin % SECTION_SIZE != 0);

        return end / SECTION_SIZE > first ? end / SECTION_SIZE - first : 0;
}

uint64_t scratch_space_kib(const uint8_t *regions, size_t size, uint64_t ram_start)
{
        const uint64_t start = ram_start - ram_start % LINEAR_START_UNIT;
        uint64_t n_sections = 0;

        for (size_t at = REGION_SIZE; at + REGION_SIZE <= size; at += REGION_SIZE)
                n_sections += region_sections(number_at(regions + at), number_at(regions + at + 8),
                                              start);
        return n_sections * (SECTION_SIZE / 1024);
}
