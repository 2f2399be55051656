/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/config-file.h"

#include <errno.h>
#include <string.h>

/* Nobody needs more, and each is compared with the others. */
#define SECTIONS_MAX 256
#define ENTRIES_MAX  256

/* One line under way: [start, end) of the text, without the spaces around it. */
typedef struct Line {
        const char *begin; /* the line's first byte, where column 1 is */
        const char *start, *end;
        unsigned int number;
} Line;

static void entry_free(void *data)
{
        ConfigEntry *entry = data;

        g_free(entry->key);
        g_free(entry->value);
        g_free(entry);
}

static void section_free(void *data)
{
        ConfigSection *section = data;

        g_free(section->name);
        g_ptr_array_unref(section->entries);
        g_free(section);
}

ConfigFile *config_file_free(ConfigFile *file)
{
        if (!file)
                return NULL;
        g_free(file->path);
        g_ptr_array_unref(file->sections);
        g_free(file);
        return NULL;
}

static Position line_position(const Line *line, const char *at)
{
        return (Position){ line->number, (unsigned int)(at - line->begin) + 1 };
}

/* Always returns -EINVAL, for "return refuse(…)". */
static int refuse(const ConfigFile *file, const Line *line, const char *at, const char *reason,
                  char **ret_message)
{
        *ret_message = position_message(file->path, line_position(line, at), "%s", reason);
        return -EINVAL;
}

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **start, const char **end)
{
        while (*start < *end && is_space(**start))
                (*start)++;
        while (*start < *end && is_space((*end)[-1]))
                (*end)--;
}

static int check_characters(const ConfigFile *file, const Line *line, char **ret_message)
{
        const char *bad;

        for (const char *c = line->start; c < line->end; c++) {
                if (((unsigned char)*c < ' ' && *c != '\t') || *c == '\x7f')
                        return refuse(file, line, c, "a control character", ret_message);
        }
        if (!g_utf8_validate_len(line->start, (gsize)(line->end - line->start), &bad))
                return refuse(file, line, bad, "this is not UTF-8", ret_message);
        return 0;
}

static int parse_section(ConfigFile *file, const Line *line, char **ret_message)
{
        const char *name = line->start + 1;
        ConfigSection *section;
        g_autofree char *copy = NULL;

        if (line->end[-1] != ']')
                return refuse(file, line, line->end, "\"]\" is missing", ret_message);
        copy = g_strndup(name, (gsize)(line->end - 1 - name));
        if (*copy == '\0' || strpbrk(copy, "[] \t"))
                return refuse(file, line, name, "this is no name of a section", ret_message);
        if (config_file_find(file, copy))
                return refuse(file, line, name, "this section is there already", ret_message);
        if (file->sections->len == SECTIONS_MAX)
                return refuse(file, line, name, "one section too many", ret_message);

        section = g_new0(ConfigSection, 1);
        section->name = g_steal_pointer(&copy);
        section->at = line_position(line, name);
        section->entries = g_ptr_array_new_with_free_func(entry_free);
        g_ptr_array_add(file->sections, section);
        return 0;
}

static int parse_entry(ConfigFile *file, const Line *line, char **ret_message)
{
        const char *equals = memchr(line->start, '=', (size_t)(line->end - line->start));
        const char *key_end = equals, *value = equals ? equals + 1 : NULL, *value_end = line->end;
        const char *key = line->start;
        ConfigSection *section;
        ConfigEntry *entry;
        g_autofree char *copy = NULL;

        if (!equals)
                return refuse(file, line, key, "neither [SECTION] nor KEY=VALUE", ret_message);
        if (file->sections->len == 0)
                return refuse(file, line, key, "this stands before any section", ret_message);
        trim(&key, &key_end);
        trim(&value, &value_end);
        copy = g_strndup(key, (gsize)(key_end - key));
        if (*copy == '\0' || strpbrk(copy, " \t[]"))
                return refuse(file, line, line->start, "this is no name of a key", ret_message);
        section = file->sections->pdata[file->sections->len - 1];
        if (config_section_find(section, copy))
                return refuse(file, line, key, "this key is there already", ret_message);
        if (section->entries->len == ENTRIES_MAX)
                return refuse(file, line, key, "one key too many", ret_message);

        entry = g_new0(ConfigEntry, 1);
        entry->key = g_steal_pointer(&copy);
        entry->value = g_strndup(value, (gsize)(value_end - value));
        entry->key_at = line_position(line, key);
        entry->value_at = line_position(line, value);
        g_ptr_array_add(section->entries, entry);
        return 0;
}

static int parse_line(ConfigFile *file, Line *line, char **ret_message)
{
        int r;

        trim(&line->start, &line->end);
        if (line->start == line->end || *line->start == '#')
                return 0;
        r = check_characters(file, line, ret_message);
        if (r < 0)
                return r;
        return *line->start == '[' ? parse_section(file, line, ret_message)
                                   : parse_entry(file, line, ret_message);
}

int config_file_parse(const char *path, const char *text, gsize size, ConfigFile **ret_file,
                      char **ret_message)
{
        g_autoptr(ConfigFile) file = g_new0(ConfigFile, 1);
        const char *end = text + size;
        unsigned int number = 0;
        int r;

        file->path = g_strdup(path);
        file->sections = g_ptr_array_new_with_free_func(section_free);
        while (text < end) {
                const char *newline = memchr(text, '\n', (size_t)(end - text));
                Line line = { text, text, newline ? newline : end, ++number };

                r = parse_line(file, &line, ret_message);
                if (r < 0)
                        return r;
                text = newline ? newline + 1 : end;
        }
        *ret_file = g_steal_pointer(&file);
        return 0;
}

const ConfigSection *config_file_find(const ConfigFile *file, const char *section)
{
        for (unsigned int i = 0; i < file->sections->len; i++) {
                const ConfigSection *candidate = file->sections->pdata[i];

                if (strcmp(candidate->name, section) == 0)
                        return candidate;
        }
        return NULL;
}

const ConfigEntry *config_section_find(const ConfigSection *section, const char *key)
{
        for (unsigned int i = 0; i < section->entries->len; i++) {
                const ConfigEntry *candidate = section->entries->pdata[i];

                if (strcmp(candidate->key, key) == 0)
                        return candidate;
        }
        return NULL;
}
