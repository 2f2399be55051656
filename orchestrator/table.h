/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts in columns, each as wide as its widest cell. Pure. */

#include <glib.h>
#include <stdbool.h>

/* What colours say, on terminals. */
typedef enum Tone {
        TONE_NONE,
        TONE_HEADING,
        TONE_GOOD,
        TONE_WARNING,
        TONE_BAD,
} Tone;

typedef struct Table Table;

/* A table with these headings, a list that ends with NULL. */
Table *table_new(const char *const *headings);
Table *table_free(Table *table);
static inline void table_freep(Table **table)
{
        table_free(*table);
}

/* Adds a row: as many texts as there are columns, NULL where there is nothing to say. */
void table_add(Table *table, ...);

/* Gives a cell of the last row a tone. */
void table_set_tone(Table *table, unsigned int column, Tone tone);

/* Writes the rows, below their headings. The caller frees the text. */
char *table_format(const Table *table, bool color);

/* The tone for a device's state. */
Tone tone_of_state(const char *state);

/* Puts the text between a terminal's codes for its tone. The caller frees it. */
char *tone_text(const char *text, Tone tone, bool color);

/*
 * The text as a terminal may show it: what is no character, or moves the cursor, is a "?". The
 * caller frees it.
 */
char *text_printable(const char *text);
