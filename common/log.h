/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages for the administrator. Under systemd they go to the journal with fields (XEN_DOMID,
 * XEN_DOMAIN, VIRTIO_DEVICE, VIRTIO_TYPE, MESSAGE_ID, ERRNO), so that "journalctl
 * VIRTIO_DEVICE=5-disk-51712" tells a device's whole story; elsewhere they go to standard error as
 * lines.
 */

#include <stdint.h>
#include <syslog.h>

#include "common/macros.h"

/* What a message is about. Members that are NULL are left out. */
typedef struct LogContext {
        const char *device; /* the device's instance, "5-disk-51712" */
        const char *domain; /* the domain's name */
        const char *type;   /* virtio's word for the device, "blk" */
        uint16_t domid;     /* used only if device is not NULL */
} LogContext;

/* MESSAGE_ID of the events in a device's life; stable, listed in xen-virtiod(8). */
#define LOG_ID_DEVICE_SEEN      "7c1d7f4b3f0a4c55a2a1f9b1d5f0c001"
#define LOG_ID_DEVICE_CLAIMED   "7c1d7f4b3f0a4c55a2a1f9b1d5f0c002"
#define LOG_ID_DEVICE_READY     "7c1d7f4b3f0a4c55a2a1f9b1d5f0c003"
#define LOG_ID_DEVICE_FAILED    "7c1d7f4b3f0a4c55a2a1f9b1d5f0c004"
#define LOG_ID_DEVICE_GONE      "7c1d7f4b3f0a4c55a2a1f9b1d5f0c005"
#define LOG_ID_DEVICE_ADOPTED   "7c1d7f4b3f0a4c55a2a1f9b1d5f0c006"
#define LOG_ID_BACKEND_ANSWERED "7c1d7f4b3f0a4c55a2a1f9b1d5f0c007"
#define LOG_ID_DRIVER_READY     "7c1d7f4b3f0a4c55a2a1f9b1d5f0c008"
#define LOG_ID_FIRST_REQUEST    "7c1d7f4b3f0a4c55a2a1f9b1d5f0c009"
#define LOG_ID_NOTIFY_PATH      "7c1d7f4b3f0a4c55a2a1f9b1d5f0c00a"
#define LOG_ID_NODES_REFUSED    "7c1d7f4b3f0a4c55a2a1f9b1d5f0c00b"
#define LOG_ID_CONFIGURATION    "7c1d7f4b3f0a4c55a2a1f9b1d5f0c00c"

/* Looks where standard error goes; to be called once, before descriptors are given up. */
void log_setup(void);

/*
 * Logs one line. context and id may be NULL. error is a negative errno that goes with the message,
 * or 0; the text is the caller's, "%m" works and stands for that error.
 */
void log_full(int priority, const LogContext *context, const char *id, int error,
              const char *format, ...) _printf_(5, 6);

#define log_info(context, ...)           log_full(LOG_INFO, context, NULL, 0, __VA_ARGS__)
#define log_warning(context, ...)        log_full(LOG_WARNING, context, NULL, 0, __VA_ARGS__)
#define log_error(context, ...)          log_full(LOG_ERR, context, NULL, 0, __VA_ARGS__)
#define log_error_errno(context, e, ...) log_full(LOG_ERR, context, NULL, e, __VA_ARGS__)

/*
 * What a guest or a backend can cause at will is logged through a limit: 10 lines in 10 seconds,
 * then silence, counted.
 */
typedef struct LogLimit {
        uint64_t window_start_usec;
        uint32_t permitted;
        uint64_t suppressed; /* since the last permitted line */
        uint64_t *total;     /* of all that were suppressed, counted here too; NULL: nowhere */
} LogLimit;

#define LOG_LIMIT_LINES       10
#define LOG_LIMIT_WINDOW_USEC UINT64_C(10000000)

/* Says whether a line may be logged at the time now_usec (CLOCK_MONOTONIC), and counts it. */
bool log_limit_permit(LogLimit *limit, uint64_t now_usec);
