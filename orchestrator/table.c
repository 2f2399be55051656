/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/table.h"

#include <stdarg.h>

#define GAP 2 /* columns between two columns */

typedef struct Cell {
        char *text;
        Tone tone;
} Cell;

struct Table {
        unsigned int n_columns;
        GArray *cells; /* of Cell, row after row, the headings first */
};

static void cell_clear(void *cell)
{
        g_free(((Cell *)cell)->text);
}

char *text_printable(const char *text)
{
        GString *result = g_string_new(NULL);

        while (*text != '\0') {
                gunichar c = g_utf8_get_char_validated(text, -1);
                bool is_character = c != (gunichar)-1 && c != (gunichar)-2;

                g_string_append_unichar(result, is_character && g_unichar_isprint(c) ? c : '?');
                text += is_character ? g_utf8_next_char(text) - text : 1;
        }
        return g_string_free(result, FALSE);
}

static void cell_add(Table *table, const char *text, Tone tone)
{
        Cell cell = { .text = text_printable(text && *text != '\0' ? text : "-"), .tone = tone };

        g_array_append_val(table->cells, cell);
}

Table *table_new(const char *const *headings)
{
        Table *table = g_new0(Table, 1);

        table->cells = g_array_new(FALSE, FALSE, sizeof(Cell));
        g_array_set_clear_func(table->cells, cell_clear);
        for (; headings[table->n_columns]; table->n_columns++)
                cell_add(table, headings[table->n_columns], TONE_HEADING);
        return table;
}

Table *table_free(Table *table)
{
        if (!table)
                return NULL;
        g_array_unref(table->cells);
        g_free(table);
        return NULL;
}

void table_add(Table *table, ...)
{
        va_list args;

        va_start(args, table);
        for (unsigned int i = 0; i < table->n_columns; i++)
                cell_add(table, va_arg(args, const char *), TONE_NONE);
        va_end(args);
}

void table_set_tone(Table *table, unsigned int column, Tone tone)
{
        g_array_index(table->cells, Cell, table->cells->len - table->n_columns + column).tone =
                tone;
}

static const Cell *table_cell(const Table *table, unsigned int row, unsigned int column)
{
        return &g_array_index(table->cells, Cell, row * table->n_columns + column);
}

static glong column_width(const Table *table, unsigned int n_rows, unsigned int column)
{
        glong width = 0;

        for (unsigned int row = 0; row < n_rows; row++)
                width = MAX(width, g_utf8_strlen(table_cell(table, row, column)->text, -1));
        return width;
}

char *table_format(const Table *table, bool color)
{
        const unsigned int n_rows = table->cells->len / table->n_columns;
        g_autofree glong *widths = g_new(glong, table->n_columns);
        GString *text = g_string_new(NULL);

        for (unsigned int column = 0; column < table->n_columns; column++)
                widths[column] = column_width(table, n_rows, column);
        for (unsigned int row = 0; row < n_rows; row++) {
                for (unsigned int column = 0; column < table->n_columns; column++) {
                        const Cell *cell = table_cell(table, row, column);
                        g_autofree char *shown = tone_text(cell->text, cell->tone, color);

                        g_string_append(text, shown);
                        if (column + 1 < table->n_columns)
                                g_string_append_printf(
                                        text, "%*s",
                                        (int)(widths[column] + GAP - g_utf8_strlen(cell->text, -1)),
                                        "");
                }
                g_string_append_c(text, '\n');
        }
        return g_string_free(text, FALSE);
}

Tone tone_of_state(const char *state)
{
        if (g_strcmp0(state, "ready") == 0)
                return TONE_GOOD;
        return g_strcmp0(state, "failed") == 0 ? TONE_BAD : TONE_NONE;
}

char *tone_text(const char *text, Tone tone, bool color)
{
        static const char *const codes[] = {
                [TONE_HEADING] = "1", [TONE_GOOD] = "32", [TONE_WARNING] = "33", [TONE_BAD] = "31"
        };

        if (!color || tone == TONE_NONE)
                return g_strdup(text);
        return g_strdup_printf("\033[%sm%s\033[0m", codes[tone], text);
}
