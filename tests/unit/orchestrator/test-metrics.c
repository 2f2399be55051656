/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "orchestrator/metrics.h"

static const DeviceReport reports[] = {
        {
                .instance = "5-disk-51712",
                .domain = "guest1",
                .type = "blk",
                .state = "ready",
                .backend_restarts = 2,
                .counters = { 100, 3, 40, 39, 7, .latencies = { 1, [3] = 4, [20] = 2 },
                              .latency_usec = 2000033 },
        },
        { .instance = "5-virtio-0", .domain = "guest1", .type = "other", .state = "ready" },
        { .instance = "6-disk-51712", .domain = "a\"b\\c\nd\xff", .type = "blk", .state = "ready" },
};

static void assert_line(const char *text, const char *line)
{
        g_autofree char *whole = g_strdup_printf("\n%s\n", line);

        if (!strstr(text, whole))
                g_error("no line \"%s\" in\n%s", line, text);
}

static void test_devices(void)
{
        const Histogram claims = { 0 };
        g_autofree char *text = metrics_format(reports, G_N_ELEMENTS(reports), &claims);

        g_assert_true(g_utf8_validate(text, -1, NULL));
        assert_line(text, "xenvirtio_devices{state=\"ready\",type=\"blk\"} 2");
        assert_line(text, "xenvirtio_devices{state=\"ready\",type=\"other\"} 1");
#define LABELS "{device=\"5-disk-51712\",domain=\"guest1\""
        assert_line(text, "xenvirtio_restarts_total" LABELS ",process=\"backend\"} 2");
        assert_line(text, "xenvirtio_restarts_total" LABELS ",process=\"frontend\"} 0");
        assert_line(text, "xenvirtio_ioreqs_total" LABELS "} 100");
        assert_line(text, "xenvirtio_bad_accesses_total" LABELS "} 3");
        assert_line(text, "xenvirtio_kicks_total" LABELS "} 40");
        assert_line(text, "xenvirtio_interrupts_total" LABELS "} 39");
        assert_line(text, "xenvirtio_suppressed_logs_total" LABELS "} 7");
        assert_line(text, "xenvirtio_kicks_total{device=\"6-disk-51712\","
                          "domain=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 0");
}

/* Each family once: its head, and then all its samples. */
static void test_families(void)
{
        const Histogram claims = { 0 };
        g_autofree char *text = metrics_format(reports, G_N_ELEMENTS(reports), &claims);
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autofree char *family = g_strdup("none");

        for (unsigned int i = 0; lines[i + 1]; i++) {
                if (g_str_has_prefix(lines[i], "# HELP ")) {
                        g_auto(GStrv) words = g_strsplit(lines[i], " ", 4);

                        g_free(family);
                        family = g_strdup(words[2]);
                        g_assert_true(g_hash_table_add(seen, g_strdup(family)));
                } else if (!g_str_has_prefix(lines[i], "# TYPE ")) {
                        g_assert_true(g_str_has_prefix(lines[i], family));
                }
        }
        g_assert_cmpuint(g_hash_table_size(seen), ==, 11);
        g_assert_true(g_str_has_suffix(text, "\n"));
}

static void test_latencies(void)
{
        const Histogram claims = { 0 };
        g_autofree char *text = metrics_format(reports, G_N_ELEMENTS(reports), &claims);

#define IOREQ(what) "xenvirtio_ioreq_seconds_" what "{device=\"5-disk-51712\",domain=\"guest1\""
        assert_line(text, IOREQ("bucket") ",le=\"0.000001\"} 1");
        assert_line(text, IOREQ("bucket") ",le=\"0.000004\"} 1");
        assert_line(text, IOREQ("bucket") ",le=\"0.000008\"} 5");
        assert_line(text, IOREQ("bucket") ",le=\"0.524288\"} 5");
        assert_line(text, IOREQ("bucket") ",le=\"+Inf\"} 7");
        assert_line(text, IOREQ("sum") "} 2.000033");
        assert_line(text, IOREQ("count") "} 7");
}

static void test_claims(void)
{
        static const uint64_t times[] = { 0, 1000, 1001, 9000, 999999, 1000000, 1000001 };
        g_autofree char *text = NULL;
        Histogram claims = { 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
                histogram_add(&claims, times[i]);
        text = metrics_format(NULL, 0, &claims);
        assert_line(text, "xenvirtio_claim_seconds_bucket{le=\"0.001000\"} 2");
        assert_line(text, "xenvirtio_claim_seconds_bucket{le=\"0.002500\"} 3");
        assert_line(text, "xenvirtio_claim_seconds_bucket{le=\"0.010000\"} 4");
        assert_line(text, "xenvirtio_claim_seconds_bucket{le=\"0.500000\"} 4");
        assert_line(text, "xenvirtio_claim_seconds_bucket{le=\"1.000000\"} 6");
        assert_line(text, "xenvirtio_claim_seconds_bucket{le=\"+Inf\"} 7");
        assert_line(text, "xenvirtio_claim_seconds_sum 3.011001");
        assert_line(text, "xenvirtio_claim_seconds_count 7");
}

static void test_describe(void)
{
        static const struct {
                unsigned int n_guests, n_devices, n_problems;
                const char *text;
        } cases[] = {
                { 0, 0, 0, "0 guests, 0 devices" },
                { 1, 1, 0, "1 guest, 1 device" },
                { 3, 7, 1, "3 guests, 7 devices, 1 with a problem" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = metrics_describe(cases[i].n_guests, cases[i].n_devices,
                                                         cases[i].n_problems);

                g_assert_cmpstr(text, ==, cases[i].text);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/metrics/devices", test_devices);
        g_test_add_func("/metrics/families", test_families);
        g_test_add_func("/metrics/claims", test_claims);
        g_test_add_func("/metrics/describe", test_describe);
        g_test_add_func("/metrics/latencies", test_latencies);
        return g_test_run();
}
