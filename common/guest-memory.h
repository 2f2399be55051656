/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where an Arm guest's RAM lies in its physical address space, and how a descriptor of that RAM is
 * told apart in a backend that knows nothing of Xen.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/macros.h"

#define GUEST_PAGE_SIZE UINT64_C(4096)

/* GUEST_RAM0_BASE, GUEST_RAM0_SIZE, GUEST_RAM1_BASE, GUEST_RAM1_SIZE of xen/public/arch-arm.h. */
#define GUEST_BANK0_BASE UINT64_C(0x40000000)
#define GUEST_BANK0_SIZE UINT64_C(0xc0000000)
#define GUEST_BANK1_BASE UINT64_C(0x200000000)
#define GUEST_BANK1_SIZE UINT64_C(0xfe00000000)

#define MEMORY_BANKS_MAX 2

/* A bank: guest-physical base and size in bytes, both whole pages. */
typedef struct MemoryBank {
        uint64_t base, size;
} MemoryBank;

/*
 * What a guest's driver hands out instead of guest-physical addresses, if it is to grant each page:
 * this bit, the grant reference (32 bits), the offset within the page (XEN_GRANT_DMA_ADDR_OFF of
 * drivers/xen/grant-dma-ops.c of Linux).
 */
#define GUEST_GRANTS_BASE (UINT64_C(1) << 63)
#define GUEST_GRANTS_SIZE (UINT64_C(1) << 44)

/*
 * The banks of a guest with so much RAM: libxl fills the first one before it uses the second. Pages
 * that the guest has ballooned out are holes within them.
 *
 * Returns the number of banks, or -ERANGE for no memory, part of a page, or more than both hold.
 */
int guest_memory_banks(uint64_t memory_kib, MemoryBank ret_banks[MEMORY_BANKS_MAX]) _warn_unused_;

/* Whether length bytes (not 0) from address on lie within one bank. */
bool guest_memory_contains(const MemoryBank *banks, unsigned int n_banks, uint64_t address,
                           uint64_t length);

/*
 * The environment of a backend that runs with the preload library: the guest's domid, and its banks
 * as "BASE+SIZE,BASE+SIZE" in hexadecimal. A frontend marks the descriptor of bank i, which is a
 * privcmd descriptor restricted to the guest, with fcntl(F_SETSIG, i + 1); backends that know Xen
 * get another one. The mark belongs to the open file description, so it survives the way through a
 * socket, and it has no effect of its own as long as nobody sets O_ASYNC, which privcmd does not
 * support.
 */
#define GUEST_MEMORY_ENV_DOMID "XEN_VIRTIO_DOMID"
#define GUEST_MEMORY_ENV_BANKS "XEN_VIRTIO_MEMORY"
#define GUEST_MEMORY_TEXT_MAX  80

/* Writes the value of GUEST_MEMORY_ENV_BANKS. */
void guest_memory_format(const MemoryBank *banks, unsigned int n_banks,
                         char ret_text[GUEST_MEMORY_TEXT_MAX]);

/* Reads it back. Returns the number of banks, or -EINVAL. */
int guest_memory_parse(const char *text, MemoryBank ret_banks[MEMORY_BANKS_MAX]) _warn_unused_;
