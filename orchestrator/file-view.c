/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/file-view.h"

#include <string.h>
#include <sys/stat.h>

#include "common/macros.h"

static const char *const programs[] = { "/usr", "/bin", "/sbin", "/lib", "/lib64" };

/* What the template has replaced by something of its own. */
static const char *const replaced[] = { "/dev",  "/etc", "/home", "/proc",
                                        "/root", "/run", "/sys",  "/tmp" };

static const char *const see_all[] = {
        "TemporaryFileSystem=",
        "TemporaryFileSystem=/run:ro,mode=0755",
        "ProtectHome=read-only",
        "PrivateDevices=no",
};

/* Whether the path is the folder, or is in it. */
static bool path_is_in(const char *path, const char *folder)
{
        const size_t length = strlen(folder);

        return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool file_view_has(const char *path)
{
        for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
                if (path_is_in(path, programs[i]))
                        return true;
        }
        return false;
}

static bool is_replaced(const char *path)
{
        for (size_t i = 0; i < ARRAY_SIZE(replaced); i++) {
                if (path_is_in(path, replaced[i]))
                        return true;
        }
        return false;
}

static int name_compare(const void *one, const void *other)
{
        return strcmp(*(const char *const *)one, *(const char *const *)other);
}

char **file_view_folders(void)
{
        g_autoptr(GDir) root = g_dir_open("/", 0, NULL);
        GPtrArray *folders = g_ptr_array_new();
        const char *name;
        struct stat st;

        while (root && (name = g_dir_read_name(root))) {
                g_autofree char *path = g_strconcat("/", name, NULL);

                if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
                        g_ptr_array_add(folders, g_steal_pointer(&path));
        }
        g_ptr_array_sort(folders, name_compare);
        g_ptr_array_add(folders, NULL);
        return (char **)g_ptr_array_free(folders, FALSE);
}

static bool path_is_bindable(const char *path)
{
        return path[0] == '/' && path[1] != '\0' && !strpbrk(path, ":\"'\\") &&
               !strstr(path, "/../") && !g_str_has_suffix(path, "/..");
}

static void add_line(Dropin *dropin, const char *key, const char *value, const char *suffix)
{
        g_autofree char *whole = g_strconcat(value, suffix, NULL);
        GString *line = g_string_new(key);

        dropin_append_quoted(line, whole);
        dropin_add(dropin, DROPIN_LINE, g_string_free(line, FALSE));
}

static void add_hidden(Dropin *dropin, const char *const *folders)
{
        for (; *folders; folders++) {
                if (!file_view_has(*folders) && !is_replaced(*folders) &&
                    path_is_bindable(*folders))
                        add_line(dropin, "TemporaryFileSystem=", *folders, ":ro,mode=0755");
        }
}

static void add_bound(Dropin *dropin, DropinKey paths, const char *key)
{
        const GPtrArray *words = dropin->words[paths];

        for (unsigned int i = 0; i < words->len; i++)
                add_line(dropin, key, words->pdata[i], "");
}

static bool paths_are_bindable(const GPtrArray *words)
{
        for (unsigned int i = 0; i < words->len; i++) {
                if (!path_is_bindable(words->pdata[i]))
                        return false;
        }
        return true;
}

/* The one right that makes up for not being the files' owner. */
static void add_capability(Dropin *dropin)
{
        const char *capability = NULL;

        if (dropin->words[DROPIN_READ_WRITE_PATH]->len > 0)
                capability = "CAP_DAC_OVERRIDE";
        else if (dropin->words[DROPIN_READ_ONLY_PATH]->len > 0)
                capability = "CAP_DAC_READ_SEARCH";
        if (!capability)
                return;
        add_line(dropin, "CapabilityBoundingSet=", capability, "");
        add_line(dropin, "AmbientCapabilities=", capability, "");
}

void file_view_add(Dropin *dropin, const char *const *folders)
{
        add_capability(dropin);
        if (!paths_are_bindable(dropin->words[DROPIN_READ_WRITE_PATH]) ||
            !paths_are_bindable(dropin->words[DROPIN_READ_ONLY_PATH])) {
                for (size_t i = 0; i < ARRAY_SIZE(see_all); i++)
                        dropin_add(dropin, DROPIN_LINE, g_strdup(see_all[i]));
                return;
        }
        add_hidden(dropin, folders);
        add_bound(dropin, DROPIN_READ_WRITE_PATH, "BindPaths=");
        add_bound(dropin, DROPIN_READ_ONLY_PATH, "BindReadOnlyPaths=");
}
