/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/xl-config.h"

#include <errno.h>
#include <string.h>

/* Lists within lists: each is one call of the parser by itself. */
#define DEPTH_MAX 8

/* Nobody has more, and each is compared with the others. */
#define SETTINGS_MAX 512

#define IDENT_CHARACTERS  "abcdefghijklmnopqrstuvwxyz0123456789._"
#define NUMBER_CHARACTERS "0123456789abcdefx"

/* The text under way. It ends with a NUL, and has no other. */
typedef struct Lexer {
        const char *path;
        const char *at;   /* what comes next */
        const char *line; /* where its line begins */
        unsigned int number;
        char *message;
} Lexer;

static void value_free(void *data)
{
        XlValue *value = data;

        g_free(value->text);
        g_free(value);
}

static void setting_free(void *data)
{
        XlSetting *setting = data;

        g_free(setting->name);
        g_ptr_array_unref(setting->values);
        g_free(setting);
}

XlConfig *xl_config_free(XlConfig *config)
{
        if (!config)
                return NULL;
        g_free(config->path);
        g_ptr_array_unref(config->settings);
        g_free(config);
        return NULL;
}

static Position position(const Lexer *lexer, const char *at)
{
        return (Position){ lexer->number, (unsigned int)(at - lexer->line) + 1 };
}

/* Always returns -EINVAL, for "return refuse(…)". */
static int refuse(Lexer *lexer, const char *at, const char *reason)
{
        lexer->message = position_message(lexer->path, position(lexer, at), "%s", reason);
        return -EINVAL;
}

/* Skips spaces and comments; over the ends of lines too, if lines is true. */
static void skip(Lexer *lexer, bool lines)
{
        for (;;) {
                lexer->at += strspn(lexer->at, " \t");
                if (*lexer->at == '#')
                        lexer->at += strcspn(lexer->at, "\n");
                if (*lexer->at != '\n' || !lines)
                        return;
                lexer->line = ++lexer->at;
                lexer->number++;
        }
}

/* One of the escapes of C, but that octal ones do not exist: xl reads them as decimal. */
static int read_escape(Lexer *lexer, GString *out)
{
        static const char letters[] = "abfnrtv\"'\\", meanings[] = "\a\b\f\n\r\t\v\"'\\";
        const char *c = lexer->at + 1;
        const char *letter = *c != '\0' ? strchr(letters, *c) : NULL;

        if (letter) {
                g_string_append_c(out, meanings[letter - letters]);
                lexer->at += 2;
                return 0;
        }
        if (*c == 'x' && g_ascii_isxdigit(c[1]) && g_ascii_isxdigit(c[2])) {
                g_string_append_c(
                        out, (char)(g_ascii_xdigit_value(c[1]) * 16 + g_ascii_xdigit_value(c[2])));
                lexer->at += 4;
                return 0;
        }
        return refuse(lexer, lexer->at, "an unknown escape");
}

static int read_string(Lexer *lexer, XlValue *value)
{
        const char quote = *lexer->at++;
        const char *start = lexer->at;
        g_autoptr(GString) out = g_string_new(NULL);

        value->at = position(lexer, start);
        value->plain = true;
        while (*lexer->at != quote) {
                if (*lexer->at == '\0' || *lexer->at == '\n')
                        return refuse(lexer, start - 1, "this string has no end in its line");
                if (*lexer->at != '\\') {
                        g_string_append_c(out, *lexer->at++);
                        continue;
                }
                value->plain = false;
                if (read_escape(lexer, out) < 0)
                        return -EINVAL;
        }
        lexer->at++;
        if (strlen(out->str) != out->len || !g_utf8_validate(out->str, -1, NULL))
                return refuse(lexer, start, "this is not UTF-8");
        value->text = g_string_free(g_steal_pointer(&out), FALSE);
        return 0;
}

static int read_list(Lexer *lexer, GPtrArray *values, unsigned int depth);

/* A string, a number or a list. */
static int read_value(Lexer *lexer, GPtrArray *values, unsigned int depth)
{
        XlValue *value = g_new0(XlValue, 1);

        g_ptr_array_add(values, value);
        value->at = position(lexer, lexer->at);
        if (*lexer->at == '"' || *lexer->at == '\'')
                return read_string(lexer, value);
        if (g_ascii_isdigit(*lexer->at)) {
                size_t length = strspn(lexer->at, NUMBER_CHARACTERS);

                value->text = g_strndup(lexer->at, length);
                value->plain = true;
                lexer->at += length;
                return 0;
        }
        if (*lexer->at == '[') {
                g_autoptr(GPtrArray) within = g_ptr_array_new_with_free_func(value_free);

                return read_list(lexer, within, depth + 1);
        }
        return refuse(lexer, lexer->at, "neither a string nor a number nor a list");
}

static int read_list(Lexer *lexer, GPtrArray *values, unsigned int depth)
{
        int r;

        if (depth > DEPTH_MAX)
                return refuse(lexer, lexer->at, "too many lists within lists");
        lexer->at++;
        for (;;) {
                skip(lexer, true);
                if (*lexer->at == ']')
                        break;
                r = read_value(lexer, values, depth);
                if (r < 0)
                        return r;
                skip(lexer, true);
                if (*lexer->at == ',')
                        lexer->at++;
                else if (*lexer->at != ']')
                        return refuse(lexer, lexer->at, "neither \",\" nor \"]\"");
        }
        lexer->at++;
        return 0;
}

/* "+=" puts the values behind those that are there. */
static int append(Lexer *lexer, XlSetting *setting, XlSetting *further)
{
        XlValue *first;
        const XlValue *second;
        char *text;

        if (setting->is_list != further->is_list) {
                lexer->message = position_message(lexer->path, further->at,
                                                  "%s is a list in one place and none in the other",
                                                  further->name);
                return -EINVAL;
        }
        if (setting->is_list) {
                g_ptr_array_extend_and_steal(setting->values, g_ptr_array_ref(further->values));
                return 0;
        }
        first = setting->values->pdata[0];
        second = further->values->pdata[0];
        text = g_strconcat(first->text, second->text, NULL);
        g_free(first->text);
        first->text = text;
        first->plain = false;
        return 0;
}

/* Puts the setting into the place of an earlier one, as xl does, or behind it. */
static int store(Lexer *lexer, XlConfig *config, XlSetting *setting, bool add)
{
        guint index;
        int r = 0;

        for (index = 0; index < config->settings->len; index++) {
                const XlSetting *other = config->settings->pdata[index];

                if (strcmp(other->name, setting->name) == 0)
                        break;
        }
        if (index < config->settings->len && add) {
                r = append(lexer, config->settings->pdata[index], setting);
                setting_free(setting);
                return r;
        }
        if (index < config->settings->len)
                g_ptr_array_remove_index(config->settings, index);
        g_ptr_array_add(config->settings, setting);
        return 0;
}

/* NAME = VALUE or NAME += VALUE */
static int read_setting(Lexer *lexer, XlConfig *config)
{
        const char *name = lexer->at;
        XlSetting *setting;
        bool add;
        int r;

        if (!g_ascii_islower(*name))
                return refuse(lexer, name, "this is no name of a setting");
        if (config->settings->len == SETTINGS_MAX)
                return refuse(lexer, name, "one setting too many");
        lexer->at += strspn(name, IDENT_CHARACTERS);
        setting = g_new0(XlSetting, 1);
        setting->name = g_strndup(name, (gsize)(lexer->at - name));
        setting->at = position(lexer, name);
        setting->values = g_ptr_array_new_with_free_func(value_free);

        skip(lexer, false);
        add = *lexer->at == '+';
        if (lexer->at[add] != '=') {
                setting_free(setting);
                return refuse(lexer, lexer->at, "\"=\" is missing");
        }
        lexer->at += 1 + add;
        skip(lexer, false);
        setting->is_list = *lexer->at == '[';
        r = setting->is_list ? read_list(lexer, setting->values, 1)
                             : read_value(lexer, setting->values, 0);
        if (r < 0) {
                setting_free(setting);
                return r;
        }
        return store(lexer, config, setting, add);
}

int xl_config_parse(const char *path, const char *text, gsize size, XlConfig **ret_config,
                    char **ret_message)
{
        g_autofree char *copy = g_strndup(text, size);
        Lexer lexer = { .path = path, .at = copy, .line = copy, .number = 1 };
        g_autoptr(XlConfig) config = g_new0(XlConfig, 1);
        int r = 0;

        config->path = g_strdup(path);
        config->settings = g_ptr_array_new_with_free_func(setting_free);
        for (;;) {
                skip(&lexer, true);
                if (*lexer.at == '\0' || r < 0)
                        break;
                if (*lexer.at == ';') {
                        lexer.at++;
                        continue;
                }
                r = read_setting(&lexer, config);
                if (r < 0)
                        break;
                skip(&lexer, false);
                if (*lexer.at != '\0' && *lexer.at != '\n' && *lexer.at != ';')
                        r = refuse(&lexer, lexer.at, "neither the end of the line nor \";\"");
        }
        if (r >= 0 && (gsize)(lexer.at - copy) != size)
                r = refuse(&lexer, lexer.at, "a NUL byte");
        if (r < 0) {
                *ret_message = lexer.message;
                return r;
        }
        *ret_config = g_steal_pointer(&config);
        return 0;
}

const XlSetting *xl_config_find(const XlConfig *config, const char *name)
{
        for (unsigned int i = 0; i < config->settings->len; i++) {
                const XlSetting *setting = config->settings->pdata[i];

                if (strcmp(setting->name, name) == 0)
                        return setting;
        }
        return NULL;
}
