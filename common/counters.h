/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a device's frontend counts, in a file that the orchestrator reads for xen-virtioctl: they
 * share nothing else while the device runs. Each number goes on when a frontend takes over from
 * another, as long as the orchestrator's claim lives.
 *
 * The frontend maps the file COUNTERS_FILE in its FRONTEND_FOLDER, and is its only writer. To the
 * orchestrator its content is a stranger's.
 */

#include <stdint.h>

#include "common/macros.h"

#define COUNTERS_FILE    "counters"
#define COUNTERS_VERSION 3

/* Of so many accesses one is timed. */
#define LATENCY_SAMPLING 64

/* The bucket i is for up to 2^i microseconds, that after the last one for more. */
#define LATENCY_BUCKETS 20

typedef struct Counters {
        uint64_t requests;      /* accesses of the guest's that were answered */
        uint64_t bad_accesses;  /* of these: to no register, or of a wrong size */
        uint64_t kicks;         /* passed on to the backend; not those that the kernel served */
        uint64_t interrupts;    /* raised by the frontend; not by the kernel (irqfd) */
        uint64_t dropped_lines; /* not logged, because a limit was reached */
        uint64_t losses;        /* of the backend: that went, or refused what it was told */
        uint64_t waiting;       /* 1: since the last one a driver that is up waits for the next */

        /* From the frontend's look at the access to its answer. What a driver waits for a backend,
         * in the few accesses that have to, is not in it. */
        uint64_t latencies[LATENCY_BUCKETS + 1]; /* each without those of the buckets before it */
        uint64_t latency_usec;                   /* their sum */
} Counters;

typedef struct CountersFile {
        uint32_t version; /* COUNTERS_VERSION; 0 in a file that was just made */
        uint32_t size;    /* of this structure */
        Counters counters;
} CountersFile;

void counters_add_latency(Counters *counters, uint64_t usec);

/*
 * Reads the counters in the folder dirfd, which is a device's. Returns 0; -ENOENT if there are
 * none; -EPROTO if what is there is not a file of this version and size; or another negative errno.
 * Never blocks, whatever the file is.
 */
int counters_read(int dirfd, Counters *ret_counters) _warn_unused_;

/*
 * Maps the file, which may be new; it is open for reading and writing, and stays the caller's.
 * What a former frontend has counted is gone on with. Returns 0 or a negative errno;
 * counters_unmap() gives the mapping back.
 */
int counters_map(int fd, CountersFile **ret_file) _warn_unused_;
void counters_unmap(CountersFile *file);
