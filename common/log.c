/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#define LINE_SIZE  1024
#define FIELD_SIZE 256
#define FIELDS_MAX 8

/* The one global of the project: where this process's messages go does not depend on who logs. */
static bool to_journal;

void log_setup(void)
{
        /* systemd sets JOURNAL_STREAM when it has connected standard error to the journal. */
        to_journal = getenv("JOURNAL_STREAM") != NULL;
}

typedef struct Fields {
        char text[FIELDS_MAX][FIELD_SIZE];
        struct iovec iov[FIELDS_MAX + 1];
        int n;
} Fields;

static void fields_add(Fields *fields, const char *format, ...) _printf_(2, 3);
static void fields_add(Fields *fields, const char *format, ...)
{
        char *text = fields->text[fields->n];
        va_list args;

        va_start(args, format);
        vsnprintf(text, FIELD_SIZE, format, args);
        va_end(args);
        fields->iov[fields->n++] = (struct iovec){ text, strlen(text) };
}

static void journal_send(int priority, const LogContext *context, const char *id, int error,
                         char *message)
{
        Fields fields = { .n = 0 };

        fields_add(&fields, "PRIORITY=%d", priority);
        if (id)
                fields_add(&fields, "MESSAGE_ID=%s", id);
        if (error)
                fields_add(&fields, "ERRNO=%d", -error);
        if (context && context->device) {
                fields_add(&fields, "VIRTIO_DEVICE=%s", context->device);
                fields_add(&fields, "XEN_DOMID=%u", context->domid);
        }
        if (context && context->domain)
                fields_add(&fields, "XEN_DOMAIN=%s", context->domain);
        if (context && context->type)
                fields_add(&fields, "VIRTIO_TYPE=%s", context->type);
        fields.iov[fields.n++] = (struct iovec){ message, strlen(message) };
        sd_journal_sendv(fields.iov, fields.n);
}

void log_full(int priority, const LogContext *context, const char *id, int error,
              const char *format, ...)
{
        char line[LINE_SIZE] = "MESSAGE=";
        const size_t prefix = strlen(line);
        size_t length = prefix;
        int saved_errno = errno;
        va_list args;

        if (context && context->device)
                length += (size_t)snprintf(line + length, sizeof(line) - length,
                                           "%s: ", context->device);
        errno = -error;
        va_start(args, format);
        vsnprintf(line + length, sizeof(line) - length, format, args);
        va_end(args);

        if (to_journal)
                journal_send(priority, context, id, error, line);
        else
                fprintf(stderr, "%s\n", line + prefix);
        errno = saved_errno;
}

bool log_limit_permit(LogLimit *limit, uint64_t now_usec)
{
        if (now_usec - limit->window_start_usec >= LOG_LIMIT_WINDOW_USEC) {
                limit->window_start_usec = now_usec;
                limit->permitted = 0;
        }
        if (limit->permitted >= LOG_LIMIT_LINES) {
                limit->suppressed++;
                if (limit->total)
                        (*limit->total)++;
                return false;
        }
        limit->permitted++;
        return true;
}
