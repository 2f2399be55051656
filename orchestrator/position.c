/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/position.h"

#include <stdarg.h>
#include <string.h>

/* What is quoted in a text may be long, and messages go into xenstore, too. */
#define TEXT_MAX 500

Position position_of(const char *text, gsize offset)
{
        Position position = { 1, 1 };

        for (gsize i = 0; i < offset; i++) {
                position.column++;
                if (text[i] == '\n')
                        position = (Position){ position.line + 1, 1 };
        }
        return position;
}

char *position_message(const char *file, Position position, const char *format, ...)
{
        g_autofree char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        /* Not in the middle of a character. */
        if (strlen(text) > TEXT_MAX)
                *g_utf8_find_prev_char(text, text + TEXT_MAX) = '\0';
        for (char *c = text; *c != '\0'; c++) {
                if (g_ascii_iscntrl(*c))
                        *c = '?';
        }
        return g_strdup_printf("%s:%u:%u: %s", file, position.line, position.column, text);
}
