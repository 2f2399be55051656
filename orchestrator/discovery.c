/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/discovery.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "common/device-id.h"
#include "orchestrator/position.h"

/* json-glib's parser calls itself for each level, without end. */
#define DEPTH_MAX 16

#define ID_BLK 2

/* What a look over the text finds without understanding it. */
typedef struct Outline {
        unsigned int depth; /* of brackets, at most */
        gsize type, binary; /* where the members of the outermost object begin; 0: not there */
} Outline;

/* The end of the string that begins at start: the byte behind its closing quote, or the end. */
static gsize string_end(const char *text, gsize size, gsize start)
{
        gsize i = start + 1;

        while (i < size && text[i] != '"')
                i += text[i] == '\\' ? 2 : 1;
        return MIN(i + 1, size);
}

/* Whether the string [start, end) is the name of a member: a colon follows. */
static bool is_member(const char *text, gsize size, gsize start, gsize end, const char *name)
{
        gsize length = strlen(name);

        if (end - start != length + 2 || memcmp(text + start + 1, name, length) != 0)
                return false;
        while (end < size && g_ascii_isspace(text[end]))
                end++;
        return end < size && text[end] == ':';
}

static Outline outline_make(const char *text, gsize size)
{
        Outline outline = { 0 };
        unsigned int depth = 0;
        gsize end;

        for (gsize i = 0; i < size; i = end) {
                end = i + 1;
                if (text[i] == '"') {
                        end = string_end(text, size, i);
                        if (depth == 1 && is_member(text, size, i, end, "type"))
                                outline.type = i;
                        if (depth == 1 && is_member(text, size, i, end, "binary"))
                                outline.binary = i;
                } else if (text[i] == '{' || text[i] == '[') {
                        depth++;
                        outline.depth = MAX(outline.depth, depth);
                } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
                        depth--;
                }
        }
        return outline;
}

/* The member's text, or NULL if it is not there or no string. */
static const char *member_get(JsonObject *object, const char *name)
{
        JsonNode *node = json_object_get_member(object, name);

        return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                       : NULL;
}

/* Once the parser has returned, it has forgotten where it was. */
static void on_error(JsonParser *parser, const GError *error _unused_, void *userdata)
{
        Position *at = userdata;

        if (json_parser_get_current_line(parser) == 0)
                return;
        at->line = json_parser_get_current_line(parser);
        at->column = json_parser_get_current_pos(parser) + 1;
}

/* What json-glib says, without the position that it puts before some messages. */
static const char *describe_error(const GError *error)
{
        static const char lead[] = "Parse error: ";
        const char *text = strstr(error->message, lead);

        return text ? text + strlen(lead) : error->message;
}

/* The conventional command line, and what of the file system it needs. */
static void command_make(Profile *profile, const char *binary)
{
        static const char *const disk_path[] = { "%{disk.path}", NULL };
        g_auto(GStrv) parts = g_strsplit(binary, "%", -1);
        char **command = g_new0(char *, 4);

        command[0] = g_strjoinv("%%", parts);
        command[1] = g_strdup("--socket-path=%{socket}");
        if (profile->device_id == ID_BLK) {
                command[2] = g_strdup("--blk-file=%{disk.path}");
                profile->read_write_paths = g_strdupv((char **)disk_path);
        }
        profile->command = command;
}

/* systemd could not be told of such a program. */
static bool has_control(const char *text)
{
        for (; *text != '\0'; text++) {
                if (g_ascii_iscntrl(*text))
                        return true;
        }
        return false;
}

static void read_object(Profile *profile, const char *text, gsize size, JsonObject *object)
{
        const Outline outline = outline_make(text, size);
        const Position type_at = position_of(text, outline.type);
        const Position binary_at = position_of(text, outline.binary);
        const char *type = member_get(object, "type");
        const char *binary = member_get(object, "binary");

        if (!type)
                profile->problem = position_message(profile->file, type_at,
                                                    "type: the member is missing, or no string");
        else if ((profile->device_id = device_id_find(type)) == 0)
                profile->problem = position_message(profile->file, type_at,
                                                    "type: \"%s\" is no virtio device type", type);
        else if (!binary)
                profile->problem = position_message(profile->file, binary_at,
                                                    "binary: the member is missing, or no string");
        else if (*binary != '/' || has_control(binary))
                profile->problem = position_message(
                        profile->file, binary_at, "binary: \"%s\" is not an absolute path", binary);
        else
                command_make(profile, binary);
        profile->command_at = binary_at;
}

Profile *discovery_parse(const char *file, const char *text, gsize size)
{
        g_autoptr(JsonParser) parser = NULL;
        g_autoptr(GError) error = NULL;
        Position error_at = { 1, 1 };
        Profile *profile;

        if (size == 0)
                return NULL;
        profile = profile_new(file, DISCOVERY_SUFFIX);
        if (outline_make(text, size).depth > DEPTH_MAX) {
                profile->problem = position_message(file, (Position){ 1, 1 },
                                                    "nested more than %d times", DEPTH_MAX);
                return profile;
        }

        parser = json_parser_new_immutable();
        g_signal_connect(parser, "error", G_CALLBACK(on_error), &error_at);
        if (!json_parser_load_from_data(parser, text, (gssize)size, &error))
                profile->problem = position_message(file, error_at, "%s", describe_error(error));
        else if (!json_parser_get_root(parser) ||
                 !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
                profile->problem = position_message(file, (Position){ 1, 1 }, "this is no object");
        else
                read_object(profile, text, size,
                            json_node_get_object(json_parser_get_root(parser)));
        return profile;
}
