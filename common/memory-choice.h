/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a backend is to get the guest's memory, as a profile's Memory= and the launch file's MEMORY
 * say it. frontend/memory-way.h is what comes of it.
 */

#include "common/macros.h"

typedef enum MemoryChoice {
        MEMORY_AUTO,     /* the backend maps it by itself (XEN_MMAP) if it can, else as preload */
        MEMORY_XEN_MMAP, /* that, or not at all */
        MEMORY_SEED,     /* dom0 grants itself all pages of the guest: a backend just maps a file */
        MEMORY_PRELOAD,  /* the preload library in the backend maps it */
        _MEMORY_CHOICE_MAX,
} MemoryChoice;

/* "auto", "xen-mmap", "seed", "preload". */
const char *memory_choice_name(MemoryChoice choice);

/* The choice of that name. Returns 0 or -EINVAL. */
int memory_choice_parse(const char *name, MemoryChoice *ret_choice) _warn_unused_;
