/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "orchestrator/clock.h"
#include "orchestrator/paths.h"

/* A number of each device. */
static const struct {
        const char *name, *labels, *help;
        const char *field;
} device_metrics[] = {
        { "restarts_total", ",process=\"backend\"", "Processes that ended and were started again.",
          "backend-restarts" },
        { "restarts_total", ",process=\"frontend\"", NULL, "frontend-restarts" },
        { "ioreqs_total", "", "Requests of the guest's that the frontend has answered.",
          "requests" },
        { "bad_accesses_total", "", "Accesses to no register, or of a wrong size.",
          "bad-accesses" },
        { "kicks_total", "", "Kicks that the frontend has passed on.", "kicks" },
        { "interrupts_total", "", "Interrupts that the frontend has raised.", "interrupts" },
        { "suppressed_logs_total", "", "Lines that were not logged, to limit them.",
          "dropped-lines" },
        { "backend_losses_total", "", "Backends that went, or refused what they were told.",
          "backend-losses" },
};

char *metrics_describe(unsigned int n_guests, unsigned int n_devices, unsigned int n_problems)
{
        g_autofree char *problems = NULL;

        if (n_problems > 0)
                problems = g_strdup_printf(", %u with a problem", n_problems);
        return g_strdup_printf("%u guest%s, %u device%s%s", n_guests, n_guests == 1 ? "" : "s",
                               n_devices, n_devices == 1 ? "" : "s", problems ? problems : "");
}

/* As the format wants the value of a label: \, " and line feeds are escaped. */
static void append_label(GString *text, const char *name, const char *value)
{
        g_autofree char *valid = g_utf8_make_valid(value ? value : "", -1);

        g_string_append_printf(text, "%s=\"", name);
        for (const char *c = valid; *c != '\0'; c++) {
                if (*c == '\n')
                        g_string_append(text, "\\n");
                else if (*c == '\\' || *c == '"')
                        g_string_append_printf(text, "\\%c", *c);
                else
                        g_string_append_c(text, *c);
        }
        g_string_append_c(text, '"');
}

static void append_head(GString *text, const char *name, const char *type, const char *help)
{
        g_string_append_printf(text, "# HELP xenvirtio_%s %s\n# TYPE xenvirtio_%s %s\n", name, help,
                               name, type);
}

static const ReportField *field_find(const char *name)
{
        for (size_t i = 0; i < n_report_fields; i++) {
                if (strcmp(report_fields[i].name, name) == 0)
                        return &report_fields[i];
        }
        g_assert_not_reached();
}

static void append_devices(GString *text, const DeviceReport *reports, size_t n_reports)
{
        for (size_t m = 0; m < G_N_ELEMENTS(device_metrics); m++) {
                const ReportField *field = field_find(device_metrics[m].field);

                if (device_metrics[m].help)
                        append_head(text, device_metrics[m].name, "counter",
                                    device_metrics[m].help);
                for (size_t i = 0; i < n_reports; i++) {
                        g_string_append_printf(text, "xenvirtio_%s{", device_metrics[m].name);
                        append_label(text, "device", reports[i].instance);
                        g_string_append_c(text, ',');
                        append_label(text, "domain", reports[i].domain);
                        g_string_append_printf(text, "%s} %" PRIu64 "\n", device_metrics[m].labels,
                                               report_number(&reports[i], field));
                }
        }
}

/* How many devices there are of each state and type. */
static void append_states(GString *text, const DeviceReport *reports, size_t n_reports)
{
        g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GList) keys = NULL;

        append_head(text, "devices", "gauge", "Devices by state and type.");
        for (size_t i = 0; i < n_reports; i++) {
                GString *labels = g_string_new(NULL);
                unsigned int n;
                char *key;

                append_label(labels, "state", reports[i].state);
                g_string_append_c(labels, ',');
                append_label(labels, "type", reports[i].type);
                key = g_string_free(labels, FALSE);
                n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, key));
                g_hash_table_replace(counts, key, GUINT_TO_POINTER(n + 1));
        }
        keys = g_list_sort(g_hash_table_get_keys(counts), (GCompareFunc)strcmp);
        for (const GList *key = keys; key; key = key->next)
                g_string_append_printf(text, "xenvirtio_devices{%s} %u\n", (const char *)key->data,
                                       GPOINTER_TO_UINT(g_hash_table_lookup(counts, key->data)));
}

/* Seconds, as Prometheus counts time; exact, and with a point whatever the locale is. */
static void append_seconds(GString *text, uint64_t usec)
{
        g_string_append_printf(text, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC,
                               usec % USEC_PER_SEC);
}

_Static_assert(LATENCY_SAMPLING == 64, "the help of ioreq_seconds says so");

static void append_claims(GString *text, const Histogram *claims)
{
        static const char name[] = "claim_seconds";
        uint64_t n = 0;

        append_head(text, name, "histogram",
                    "From a device's node in xenstore to the claim of its registers.");
        for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
                n += claims->counts[i];
                g_string_append_printf(text, "xenvirtio_%s_bucket{le=\"", name);
                append_seconds(text, histogram_bounds_usec[i]);
                g_string_append_printf(text, "\"} %" PRIu64 "\n", n);
        }
        g_string_append_printf(text, "xenvirtio_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name,
                               claims->n);
        g_string_append_printf(text, "xenvirtio_%s_sum ", name);
        append_seconds(text, claims->sum_usec);
        g_string_append_printf(text, "\nxenvirtio_%s_count %" PRIu64 "\n", name, claims->n);
}

/* A device's buckets, each with those before it, as the format wants them; and their sum. */
static void append_latency(GString *text, const DeviceReport *report, GString *labels)
{
        const Counters *counters = &report->counters;
        uint64_t n = 0;

        for (unsigned int i = 0; i < LATENCY_BUCKETS; i++) {
                n += counters->latencies[i];
                g_string_append_printf(text, "xenvirtio_ioreq_seconds_bucket{%s,le=\"",
                                       labels->str);
                append_seconds(text, UINT64_C(1) << i);
                g_string_append_printf(text, "\"} %" PRIu64 "\n", n);
        }
        n += counters->latencies[LATENCY_BUCKETS];
        g_string_append_printf(text,
                               "xenvirtio_ioreq_seconds_bucket{%s,le=\"+Inf\"} %" PRIu64
                               "\nxenvirtio_ioreq_seconds_sum{%s} ",
                               labels->str, n, labels->str);
        append_seconds(text, counters->latency_usec);
        g_string_append_printf(text, "\nxenvirtio_ioreq_seconds_count{%s} %" PRIu64 "\n",
                               labels->str, n);
}

static void append_latencies(GString *text, const DeviceReport *reports, size_t n_reports)
{
        append_head(
                text, "ioreq_seconds", "histogram",
                "From a frontend's look at a request to its answer; each 64th request is timed.");
        for (size_t i = 0; i < n_reports; i++) {
                g_autoptr(GString) labels = g_string_new(NULL);

                append_label(labels, "device", reports[i].instance);
                g_string_append_c(labels, ',');
                append_label(labels, "domain", reports[i].domain);
                append_latency(text, &reports[i], labels);
        }
}

char *metrics_format(const DeviceReport *reports, size_t n_reports, const Histogram *claims)
{
        GString *text = g_string_new(NULL);

        append_head(text, "info", "gauge", "The version of xen-virtiod.");
        g_string_append(text, "xenvirtio_info{version=\"" VERSION "\"} 1\n");
        append_states(text, reports, n_reports);
        append_devices(text, reports, n_reports);
        append_latencies(text, reports, n_reports);
        append_claims(text, claims);
        return g_string_free(text, FALSE);
}
