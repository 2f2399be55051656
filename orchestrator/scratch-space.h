/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How much of guests' memory Linux can map at a time on Arm, each mapping of a page counted: it
 * needs physical addresses for that, where nothing else is. Xen tells it of such "extended regions"
 * in the device tree, behind the region for grants (docs/misc/arm/device-tree/guest.txt of Xen).
 * Linux takes whole memory sections of them (drivers/xen/unpopulated-alloc.c), and only such as its
 * linear mapping reaches, which begins at this domain's own memory (arch/arm64/mm/init.c).
 */

#include <stddef.h>
#include <stdint.h>

/*
 * regions is the property "reg" of the node /hypervisor, size bytes of it; ram_start is the lowest
 * address of this domain's memory. Returns KiB, for pages of 4 KiB; 0 if there are no such regions.
 */
uint64_t scratch_space_kib(const uint8_t *regions, size_t size, uint64_t ram_start);
