/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/guest-pages.h"

#include <errno.h>
#include <glib.h>

#define BANK_PAGES (GUEST_PAGES / 2)
#define BANK_SIZE  (BANK_PAGES * GUEST_PAGE_SIZE)

const MemoryBank guest_banks[2] = {
        { GUEST_BANK0_BASE, BANK_SIZE },
        { GUEST_BANK0_BASE + 2 * BANK_SIZE, BANK_SIZE },
};

uint8_t *guest_bytes(Hypervisor *guest, uint64_t address)
{
        for (unsigned int i = 0; i < G_N_ELEMENTS(guest_banks); i++) {
                const uint64_t offset = address - guest_banks[i].base;

                if (offset < BANK_SIZE)
                        return (uint8_t *)guest->pages + i * BANK_SIZE + offset;
        }
        g_error("%#" G_GINT64_MODIFIER "x is not the guest's", address);
}

int hypervisor_page_map(Hypervisor *hypervisor, uint64_t address, void **ret_page)
{
        uint8_t *page;

        g_assert_cmpuint(address % GUEST_PAGE_SIZE, ==, 0);
        g_assert_cmpuint(hypervisor->n_mapped, ==, 0);
        page = guest_bytes(hypervisor, address);
        if (hypervisor->missing[(page - (uint8_t *)hypervisor->pages) / 4096])
                return -EFAULT;
        if (++hypervisor->n_mappings == hypervisor->fails_at)
                return -ENOMEM;
        hypervisor->n_mapped++;
        *ret_page = page;
        return 0;
}

void hypervisor_page_unmap(Hypervisor *hypervisor, void *page _unused_)
{
        g_assert_cmpuint(hypervisor->n_mapped, ==, 1);
        hypervisor->n_mapped--;
}
