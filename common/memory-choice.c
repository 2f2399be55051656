/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/memory-choice.h"

#include <errno.h>
#include <string.h>

static const char *const names[_MEMORY_CHOICE_MAX] = {
        [MEMORY_AUTO] = "auto",
        [MEMORY_XEN_MMAP] = "xen-mmap",
        [MEMORY_SEED] = "seed",
        [MEMORY_PRELOAD] = "preload",
};

const char *memory_choice_name(MemoryChoice choice)
{
        return names[choice];
}

int memory_choice_parse(const char *name, MemoryChoice *ret_choice)
{
        for (int i = 0; i < _MEMORY_CHOICE_MAX; i++) {
                if (strcmp(name, names[i]) != 0)
                        continue;
                *ret_choice = (MemoryChoice)i;
                return 0;
        }
        return -EINVAL;
}
