/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a device is, for people and programs: what xen-virtiod tells and xen-virtioctl shows. One
 * table names the fields; what crosses the bus and what is printed as JSON both follow it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"

/* A text that is NULL or empty says that there is nothing to say. */
typedef struct DeviceReport {
        const char *instance; /* "5-disk-51712" */
        const char *domain;   /* its name */
        const char *type;     /* "blk"; "other" for types without a name of ours */
        const char *state;    /* seen, claimed, ready, failed, stopping, released */
        const char *problem;  /* what is wrong */
        const char *frontend; /* the frontend's instance: its own, or "5-shared" */
        uint32_t domid;
        uint32_t device_id;  /* virtio's */
        uint32_t server;     /* IOREQ server */
        uint64_t base;       /* guest address of its registers */
        uint64_t memory_kib; /* of the guest that a backend may map; 0 if it maps grants only */
        uint32_t outdated; /* 1: the configuration is another one than the backend was started with
                            */
        uint64_t retry_msec; /* until what has failed is tried again; 0: nothing waits for that */
        uint32_t backend_restarts, frontend_restarts; /* since this xen-virtiod has known it */
        Counters counters; /* the frontend's, 0 as long as there are none */
} DeviceReport;

typedef struct ReportField {
        const char *name;
        char type; /* of D-Bus: s, u, t */
        size_t offset;
} ReportField;

extern const ReportField report_fields[];
extern const size_t n_report_fields;

/* Whether its frontend serves other devices, too, or may. */
bool report_is_shared(const DeviceReport *report);

/* Reads a field of the type that it has. A text is never NULL. */
const char *report_text(const DeviceReport *report, const ReportField *field);
uint64_t report_number(const DeviceReport *report, const ReportField *field);
