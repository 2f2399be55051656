/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/expand.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define QEMU_SUFFIX     ":qemu"
#define OPTIONAL_SUFFIX "?"

static void append_qemu(GString *out, const char *value)
{
        for (; *value != '\0'; value++) {
                if (*value == ',')
                        g_string_append_c(out, ',');
                g_string_append_c(out, *value);
        }
}

/* Takes a suffix off a name, if it is there. */
static bool take_suffix(char *name, const char *suffix)
{
        if (!g_str_has_suffix(name, suffix))
                return false;
        name[strlen(name) - strlen(suffix)] = '\0';
        return true;
}

/* reference is what stands between the braces. Returns as expand(). */
static int append_reference(GString *out, const char *reference, const Variable *variables,
                            size_t n_variables, char **ret_message)
{
        g_autofree char *name = g_strdup(reference);
        const bool qemu = take_suffix(name, QEMU_SUFFIX);
        const bool optional = take_suffix(name, OPTIONAL_SUFFIX);

        for (size_t i = 0; i < n_variables; i++) {
                if (strcmp(name, variables[i].name) != 0)
                        continue;
                if (!variables[i].value && optional)
                        return EXPAND_LEFT_OUT;
                if (!variables[i].value) {
                        *ret_message = g_strdup_printf("the device has no %%{%s}", name);
                        return -ENODATA;
                }
                if (qemu)
                        append_qemu(out, variables[i].value);
                else
                        g_string_append(out, variables[i].value);
                return 0;
        }
        *ret_message = g_strdup_printf("unknown variable %%{%s}", reference);
        return -EINVAL;
}

int expand(const char *word, const Variable *variables, size_t n_variables, char **ret_expanded,
           char **ret_message)
{
        g_autoptr(GString) out = g_string_new(NULL);
        bool left_out = false;
        const char *percent;
        int r;

        for (; (percent = strchr(word, '%')); word++) {
                g_string_append_len(out, word, percent - word);
                word = percent + 1;

                if (*word == '{') {
                        const char *end = strchr(word, '}');
                        g_autofree char *reference = NULL;

                        if (!end) {
                                *ret_message = g_strdup_printf("no \"}\" after \"%s\"", percent);
                                return -EINVAL;
                        }
                        reference = g_strndup(word + 1, (gsize)(end - word - 1));
                        r = append_reference(out, reference, variables, n_variables, ret_message);
                        if (r < 0)
                                return r;
                        left_out = left_out || r == EXPAND_LEFT_OUT;
                        word = end;
                } else if (*word == '%') {
                        g_string_append_c(out, '%');
                } else {
                        *ret_message = g_strdup_printf(
                                "\"%s\": a percent sign is written %%%%, a variable %%{name}",
                                percent);
                        return -EINVAL;
                }
        }
        g_string_append(out, word);
        if (left_out)
                g_string_truncate(out, 0);

        *ret_expanded = g_string_free(g_steal_pointer(&out), FALSE);
        return left_out ? EXPAND_LEFT_OUT : 0;
}
