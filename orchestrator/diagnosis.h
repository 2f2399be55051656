/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the facts of a host mean for the devices that it is to serve. Pure. */

#include <glib.h>

#include "orchestrator/device-report.h"
#include "orchestrator/host-facts.h"

typedef enum FindingLevel {
        FINDING_OK,
        FINDING_WARNING, /* devices are served, but */
        FINDING_ERROR,   /* no device can be served */
} FindingLevel;

typedef struct Finding {
        FindingLevel level;
        const char *subject; /* a constant */
        char *text;
        const char *advice; /* a constant, or NULL where there is nothing to do */
} Finding;

/* "ok", "warning", "error" */
const char *finding_level_name(FindingLevel level);

/*
 * Goes through all of it. n_reports is 0 where the daemon did not answer. Returns an array of
 * Finding, which the caller unrefs.
 */
GArray *diagnosis_make(const HostFacts *facts, const DeviceReport *reports, size_t n_reports);

/*
 * What mapping memory of a guest takes of this domain's own, in KiB: a pointer and a page table
 * entry for each page of 4 KiB, and a struct page (64 bytes) where Linux makes address space of its
 * own for it (XEN_UNPOPULATED_ALLOC), or else the page itself, which it balloons out.
 */
uint64_t diagnosis_mapping_cost_kib(uint64_t mapped_kib, bool unpopulated);
