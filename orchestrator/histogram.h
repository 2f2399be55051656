/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long something took, each time: a histogram as Prometheus has them. Pure. */

#include <stdint.h>

#define HISTOGRAM_BUCKETS 10

typedef struct Histogram {
        uint64_t counts[HISTOGRAM_BUCKETS]; /* each without those of the buckets before it */
        uint64_t n;                         /* all, also what is beyond the last bucket */
        uint64_t sum_usec;
} Histogram;

/* The upper bounds of the buckets, which they include: from 1 ms to 1 s. */
extern const uint64_t histogram_bounds_usec[HISTOGRAM_BUCKETS];

void histogram_add(Histogram *histogram, uint64_t usec);
