/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/guest-memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

int guest_memory_banks(uint64_t memory_kib, MemoryBank ret_banks[MEMORY_BANKS_MAX])
{
        uint64_t size;

        if (__builtin_mul_overflow(memory_kib, 1024, &size) || size == 0 ||
            size % GUEST_PAGE_SIZE != 0 || size > GUEST_BANK0_SIZE + GUEST_BANK1_SIZE)
                return -ERANGE;

        ret_banks[0] = (MemoryBank){ GUEST_BANK0_BASE, size };
        if (size <= GUEST_BANK0_SIZE)
                return 1;

        ret_banks[0].size = GUEST_BANK0_SIZE;
        ret_banks[1] = (MemoryBank){ GUEST_BANK1_BASE, size - GUEST_BANK0_SIZE };
        return 2;
}

bool guest_memory_contains(const MemoryBank *banks, unsigned int n_banks, uint64_t address,
                           uint64_t length)
{
        for (unsigned int i = 0; i < n_banks; i++) {
                /* Differences, since sums of guest-chosen numbers wrap around. */
                if (address >= banks[i].base && address - banks[i].base < banks[i].size &&
                    length <= banks[i].size - (address - banks[i].base))
                        return true;
        }
        return false;
}

void guest_memory_format(const MemoryBank *banks, unsigned int n_banks,
                         char ret_text[GUEST_MEMORY_TEXT_MAX])
{
        size_t length = 0;

        ret_text[0] = '\0';
        for (unsigned int i = 0; i < n_banks && i < MEMORY_BANKS_MAX; i++)
                length += (size_t)snprintf(ret_text + length, GUEST_MEMORY_TEXT_MAX - length,
                                           "%s%#" PRIx64 "+%#" PRIx64, i > 0 ? "," : "",
                                           banks[i].base, banks[i].size);
}

static int bank_parse(char *text, MemoryBank *ret_bank)
{
        char *plus = strchr(text, '+');
        int r;

        if (!plus)
                return -EINVAL;
        *plus = '\0';
        r = parse_unsigned(text, UINT64_MAX, &ret_bank->base);
        if (r < 0)
                return -EINVAL;
        r = parse_unsigned(plus + 1, UINT64_MAX, &ret_bank->size);
        if (r < 0)
                return -EINVAL;
        if (ret_bank->base % GUEST_PAGE_SIZE != 0 || ret_bank->size % GUEST_PAGE_SIZE != 0 ||
            ret_bank->size == 0 || ret_bank->base > UINT64_MAX - ret_bank->size)
                return -EINVAL;
        return 0;
}

int guest_memory_parse(const char *text, MemoryBank ret_banks[MEMORY_BANKS_MAX])
{
        char copy[GUEST_MEMORY_TEXT_MAX], *rest = copy, *bank;
        int n = 0;

        if (strlen(text) >= sizeof(copy))
                return -EINVAL;
        strcpy(copy, text);

        while ((bank = strsep(&rest, ","))) {
                int r;

                if (n == MEMORY_BANKS_MAX)
                        return -EINVAL;
                r = bank_parse(bank, &ret_banks[n]);
                if (r < 0)
                        return r;
                n++;
        }
        return n;
}
