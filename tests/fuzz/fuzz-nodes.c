/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What may stand in a device's xenstore nodes: anything. The first byte is "d" for a disk, "v" for
 * another device; then come the nodes in the order of Node, each ended by a zero byte, which none
 * has in it (store-task.c): "=" and its value, or anything else if it is not there. All that begins
 * with another byte is a path that xenstored says has changed.
 *
 * What is refused costs one line that begins with the node. What is accepted is in range, and the
 * backend's unit and the frontend's launch file read back as the words that it is.
 */

#include <glib.h>
#include <string.h>

#include "common/guest-memory.h"
#include "orchestrator/device-variables.h"
#include "orchestrator/dropin.h"
#include "orchestrator/store-path.h"
#include "tests/fuzz/input.h"

/* With all that nodes may say, and each key that is written in another way. */
static const char profile_text[] =
        "[Backend]\nType=blk\n"
        "ExecStart=/b %{domain} %{uuid} %{disk.path?} x=%{disk.path?:qemu},%{disk.dev?:qemu}\n"
        "Environment='X=%{domain}'\nReadWritePaths=%{disk.path?}\n"
        "[Service]\nBindPaths=/%{domain}\n";

/* Text for people and for files: there is some, and no part of it does anything. */
static void check_text(const char *text)
{
        g_assert_true(text && *text != '\0' && g_utf8_validate(text, -1, NULL));
        for (const char *c = text; *c != '\0'; c++)
                g_assert_false(g_ascii_iscntrl(*c));
}

static void check_message(const char *message)
{
        bool is_named = false;

        check_text(message);
        g_assert_cmpuint(strlen(message), <, 400);
        for (Node node = 0; node < _NODE_MAX; node++) {
                g_autofree char *start = g_strconcat(node_name(node), ": ", NULL);

                is_named |= g_str_has_prefix(message, start);
        }
        g_assert_true(is_named);
}

static void check_spec(const DeviceSpec *spec)
{
        const bool is_disk = spec->name.kind == DEVICE_KIND_DISK;

        g_assert_true(g_uuid_string_is_valid(spec->uuid));
        g_assert_true(spec->irq >= 32 && spec->irq <= 1019);
        g_assert_true(spec->base > 0 && spec->base % VIRTIO_MMIO_RANGE_SIZE == 0);
        g_assert_cmpuint(spec->device_id, <=, 63);
        g_assert_cmpuint(spec->memory_kib % 4, ==, 0);
        check_text(spec->domain);
        g_assert_true(!spec->disk_path == !is_disk && !spec->disk_dev == !is_disk);
        if (!is_disk)
                return;
        g_assert_cmpuint(spec->device_id, ==, 2);
        check_text(spec->disk_path);
        check_text(spec->disk_dev);
        g_assert_true(spec->disk_path[0] == '/');
}

/* As device-claim.c makes it, of a device whose type is known by then. */
static void check_launch(const DeviceSpec *spec)
{
        Launch launch = { .base = spec->base,
                          .irq = spec->irq,
                          .device_id = spec->device_id > 0 ? spec->device_id : 4,
                          .memory_kib = spec->memory_kib,
                          .grant_usage = spec->grant_usage };
        DeviceOptions options = { 0 };
        char text[LAUNCH_FILE_LIMIT];
        Launch again;
        int length;

        g_strlcpy(launch.uuid, spec->uuid, sizeof(launch.uuid));
        launch_set_domain(&launch, spec->domain);
        device_options_complete(spec, &options);
        device_options_hand_over(&options, &launch.config);
        device_options_clear(&options);
        length = launch_format(&launch, text, sizeof(text));
        g_assert_cmpint(length, >, 0);
        g_assert_cmpint(launch_parse(text, (size_t)length, &again, NULL), ==, 0);
        g_assert_cmpmem(&again.config, sizeof(again.config), &launch.config, sizeof(launch.config));
        g_assert_cmpstr(again.domain, ==, launch.domain);
        g_assert_cmpstr(again.uuid, ==, spec->uuid);
        g_assert_cmphex(again.base, ==, spec->base);
        g_assert_cmpuint(again.memory_kib, ==, spec->memory_kib);
}

/* Takes one word in quotes off a line, as systemd reads it: nothing in it may have a meaning. */
static char *take_quoted(const char **line)
{
        GString *word = g_string_new(NULL);
        const char *c = *line;

        g_assert_true(*c++ == '"');
        for (; *c != '"'; c++) {
                g_assert_false(g_ascii_iscntrl(*c)); /* nor may it end here */
                if (*c == '%')
                        g_assert_true(*++c == '%');
                else if (*c == '\\')
                        g_assert_true(*++c == '\\' || *c == '"');
                g_string_append_c(word, *c);
        }
        *line = c + 1;
        return g_string_free(word, FALSE);
}

/* The next line of the text is the key, and these words in quotes. */
static void take_line(const char **text, const char *key, const GPtrArray *words)
{
        g_assert_true(g_str_has_prefix(*text, key));
        *text += strlen(key);
        for (unsigned int i = 0; i < words->len; i++) {
                g_autofree char *word = NULL;

                if (i > 0)
                        g_assert_true(*(*text)++ == ' ');
                word = take_quoted(text);
                g_assert_cmpstr(word, ==, words->pdata[i]);
        }
        g_assert_true(*(*text)++ == '\n');
}

static void add_words(Dropin *dropin, DropinKey key, char *const *words,
                      const DeviceVariables *variables)
{
        for (; *words; words++) {
                char *expanded = NULL, *message = NULL;
                int r = expand(*words, variables->list, variables->n, &expanded, &message);

                g_assert_cmpint(r, >=, 0);
                if (r == EXPAND_LEFT_OUT)
                        g_free(expanded);
                else
                        dropin_add(dropin, key, expanded);
        }
}

/* One word of a line of systemd's own, which names the guest. */
static char *setting_make(const Profile *profile, const DeviceVariables *variables)
{
        const int setting = sandbox_setting_find("BindPaths");
        g_autofree char *value = NULL, *message = NULL;

        g_assert_cmpint(sandbox_setting_expand((unsigned int)setting, profile->settings[setting],
                                               variables->list, variables->n, &value, &message),
                        ==, 0);
        return g_strconcat("BindPaths=", value, NULL);
}

static void check_unit(const Profile *profile, const DeviceVariables *variables,
                       const DeviceSpec *spec)
{
        g_autofree char *text = NULL, *folder = g_strconcat("/", spec->domain, NULL);
        g_autoptr(GPtrArray) bound = g_ptr_array_new();
        const char *rest;
        Dropin dropin;

        dropin_init(&dropin);
        add_words(&dropin, DROPIN_COMMAND, profile->command, variables);
        add_words(&dropin, DROPIN_ENVIRONMENT, profile->environment, variables);
        add_words(&dropin, DROPIN_READ_WRITE_PATH, profile->read_write_paths, variables);
        dropin_add(&dropin, DROPIN_LINE, setting_make(profile, variables));
        g_ptr_array_add(bound, folder);
        g_assert_cmpstr(dropin.words[DROPIN_COMMAND]->pdata[1], ==, spec->domain);

        rest = text = dropin_format(&dropin);
        rest = strstr(rest, "ExecStart=");
        take_line(&rest, "ExecStart=:", dropin.words[DROPIN_COMMAND]);
        take_line(&rest, "Environment=", dropin.words[DROPIN_ENVIRONMENT]);
        if (spec->disk_path)
                take_line(&rest, "ReadWritePaths=", dropin.words[DROPIN_READ_WRITE_PATH]);
        take_line(&rest, "BindPaths=", bound);
        g_assert_cmpstr(rest, ==, "");
        dropin_clear(&dropin);
}

static void check_backend(DeviceSpec *spec)
{
        g_autoptr(Profile) profile = profile_parse("fuzz", profile_text, strlen(profile_text));
        DeviceChoice choice = { .profile = profile };
        g_autofree char *message = NULL;
        DeviceVariables variables;

        g_assert_null(profile->problem);
        g_assert_cmpint(device_variables_fill(spec, &choice, "file", &variables, &message), ==, 0);
        check_unit(profile, &variables, spec);
        device_variables_clear(&variables);
}

static void check_path(const char *path)
{
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                DeviceName name = { .domid = 0 };

                if (store_path_parse(path, kind, &name) == STORE_PATH_OTHER)
                        continue;
                g_assert_cmpuint(name.domid, <, DOMID_RESERVED);
                g_assert_true(name.kind == kind);
        }
}

static void nodes_take(const char *text, const char *end, NodeSet *nodes)
{
        for (Node node = 0; node < _NODE_MAX && text < end; node++) {
                if (*text == '=')
                        nodes->values[node] = strdup(text + 1);
                text += strlen(text) + 1;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        g_autofree char *text = g_malloc0(size + 1), *message = NULL;
        DeviceName name = { .domid = 5, .kind = DEVICE_KIND_VIRTIO };
        g_autoptr(DeviceSpec) spec = NULL;
        NodeSet nodes = { 0 };
        XenbusState state;

        if (size == 0)
                return 0;
        memcpy(text, bytes, size);
        if (*text == 'd')
                name = (DeviceName){ 5, DEVICE_KIND_DISK, 51712 };
        else if (*text != 'v') {
                check_path(text);
                return 0;
        }
        nodes_take(text + 1, text + size, &nodes);
        if (nodes.values[NODE_STATE] && xenbus_state_parse(nodes.values[NODE_STATE], &state) >= 0)
                g_assert_true(state >= XENBUS_INITIALISING && state <= XENBUS_CLOSED);
        if (device_spec_parse(&name, &nodes, &spec, &message) < 0) {
                g_assert_null(spec);
                check_message(message);
        } else {
                check_spec(spec);
                check_launch(spec);
                check_backend(spec);
        }
        node_set_clear(&nodes);
        return 0;
}
