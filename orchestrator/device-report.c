/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-report.h"

#include "common/device-name.h"

#define FIELD(name, type, member)                                                                  \
        {                                                                                          \
                name, type, offsetof(DeviceReport, member)                                         \
        }

const ReportField report_fields[] = {
        FIELD("device", 's', instance),
        FIELD("domid", 'u', domid),
        FIELD("domain", 's', domain),
        FIELD("type", 's', type),
        FIELD("device-id", 'u', device_id),
        FIELD("state", 's', state),
        FIELD("problem", 's', problem),
        FIELD("base", 't', base),
        FIELD("ioreq-server", 'u', server),
        FIELD("frontend", 's', frontend),
        FIELD("mapped-kib", 't', memory_kib),
        FIELD("outdated", 'u', outdated),
        FIELD("retry-msec", 't', retry_msec),
        FIELD("backend-restarts", 'u', backend_restarts),
        FIELD("frontend-restarts", 'u', frontend_restarts),
        FIELD("requests", 't', counters.requests),
        FIELD("bad-accesses", 't', counters.bad_accesses),
        FIELD("kicks", 't', counters.kicks),
        FIELD("interrupts", 't', counters.interrupts),
        FIELD("dropped-lines", 't', counters.dropped_lines),
        FIELD("backend-losses", 't', counters.losses),
        FIELD("driver-waits", 't', counters.waiting),
};
const size_t n_report_fields = ARRAY_SIZE(report_fields);

bool report_is_shared(const DeviceReport *report)
{
        uint16_t domid;

        return report->frontend && device_name_parse_shared(report->frontend, &domid) >= 0;
}

const char *report_text(const DeviceReport *report, const ReportField *field)
{
        const void *place = (const char *)report + field->offset;
        const char *text = *(const char *const *)place;

        return text ? text : "";
}

uint64_t report_number(const DeviceReport *report, const ReportField *field)
{
        const void *place = (const char *)report + field->offset;

        return field->type == 't' ? *(const uint64_t *)place : *(const uint32_t *)place;
}
