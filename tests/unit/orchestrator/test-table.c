/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "common/macros.h"
#include "orchestrator/table.h"

static const char *const headings[] = { "DEVICE", "STATE", "PROBLEM", NULL };

static void test_columns(void)
{
        _cleanup_(table_freep) Table *table = table_new(headings);
        g_autofree char *text = NULL;

        table_add(table, "5-disk-51712", "ready", NULL);
        table_add(table, "5-virtio-0", "failed", "");
        text = table_format(table, false);
        g_assert_cmpstr(text, ==,
                        "DEVICE        STATE   PROBLEM\n"
                        "5-disk-51712  ready   -\n"
                        "5-virtio-0    failed  -\n");
}

static void test_empty(void)
{
        _cleanup_(table_freep) Table *table = table_new(headings);
        g_autofree char *text = table_format(table, false);

        g_assert_cmpstr(text, ==, "DEVICE  STATE  PROBLEM\n");
}

/* What counts for the width are characters, and not the codes of colours. */
static void test_width(void)
{
        _cleanup_(table_freep) Table *table = table_new(headings);
        g_autofree char *text = NULL;

        table_add(table, "größe", "failed", "x");
        table_set_tone(table, 1, tone_of_state("failed"));
        text = table_format(table, true);
        g_assert_cmpstr(text, ==,
                        "\033[1mDEVICE\033[0m  \033[1mSTATE\033[0m   \033[1mPROBLEM\033[0m\n"
                        "größe   \033[31mfailed\033[0m  x\n");
}

static void test_tones(void)
{
        g_autofree char *plain = tone_text("ready", tone_of_state("ready"), false);
        g_autofree char *green = tone_text("ready", tone_of_state("ready"), true);
        g_autofree char *none = tone_text("seen", tone_of_state("seen"), true);

        g_assert_cmpstr(plain, ==, "ready");
        g_assert_cmpstr(green, ==, "\033[32mready\033[0m");
        g_assert_cmpstr(none, ==, "seen");
        g_assert_cmpint(tone_of_state(NULL), ==, TONE_NONE);
}

/* A guest's name is no way to a terminal. */
static void test_printable(void)
{
        static const struct {
                const char *text, *shown;
        } cases[] = {
                { "plain", "plain" },
                { "größe", "größe" },
                { "\033[2J", "?[2J" },
                { "a\nb\tc", "a?b?c" },
                { "\xff\xc3", "??" },
                { "", "" },
                { "\xe2\x80\xae"
                  "x",
                  "?x" }, /* right-to-left override */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *shown = text_printable(cases[i].text);

                g_assert_cmpstr(shown, ==, cases[i].shown);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/table/columns", test_columns);
        g_test_add_func("/table/empty", test_empty);
        g_test_add_func("/table/width", test_width);
        g_test_add_func("/table/tones", test_tones);
        g_test_add_func("/table/printable", test_printable);
        return g_test_run();
}
