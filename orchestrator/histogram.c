/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/histogram.h"

const uint64_t histogram_bounds_usec[HISTOGRAM_BUCKETS] = {
        1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
};

void histogram_add(Histogram *histogram, uint64_t usec)
{
        unsigned int bucket = 0;

        while (bucket < HISTOGRAM_BUCKETS && usec > histogram_bounds_usec[bucket])
                bucket++;
        if (bucket < HISTOGRAM_BUCKETS)
                histogram->counts[bucket]++;
        histogram->n++;
        histogram->sum_usec += usec;
}
