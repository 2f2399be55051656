/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/text-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns the bytes that were read, which is more than limit if there are more, or -errno. */
static ssize_t read_all(int fd, char *text, size_t limit)
{
        size_t size = 0;

        while (size <= limit) {
                ssize_t n = read(fd, text + size, limit + 1 - size);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        break;
                if (n > 0)
                        size += (size_t)n;
        }
        return (ssize_t)size;
}

/* Returns the size or a negative errno. */
static ssize_t read_path(const char *path, char **ret_text)
{
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        g_autofree char *text = NULL;
        struct stat st;
        ssize_t size;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size > TEXT_FILE_LIMIT)
                return -EFBIG;
        text = g_malloc((size_t)st.st_size + 2);
        size = read_all(fd, text, (size_t)st.st_size);
        if (size < 0)
                return size;
        if (size > st.st_size)
                return -EAGAIN;
        text[size] = '\0';
        *ret_text = g_steal_pointer(&text);
        return size;
}

int text_file_read(const char *path, char **ret_text, gsize *ret_size, char **ret_message)
{
        ssize_t size = read_path(path, ret_text);

        if (size < 0) {
                *ret_message = g_strdup_printf("%s: %s", path, strerror((int)-size));
                return (int)size;
        }
        *ret_size = (gsize)size;
        return 0;
}

/* Of a file that cannot be looked at, reading it says why. */
static bool is_to_be_read(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return errno != ENOENT;
        return S_ISREG(st.st_mode);
}

/* Puts the folder's files into the table name → path, over what it holds. */
static void folder_list(const char *folder, const char *suffix, GHashTable *paths)
{
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(folder, name, NULL);

                if (*name != '.' && g_str_has_suffix(name, suffix) && is_to_be_read(path))
                        g_hash_table_replace(paths, g_strdup(name), g_steal_pointer(&path));
        }
}

static int name_compare(const void *a, const void *b)
{
        return strcmp(a, b);
}

char **text_file_list(const char *const *folders, const char *suffix)
{
        g_autoptr(GHashTable) paths =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GPtrArray) list = g_ptr_array_new();
        g_autoptr(GList) names = NULL;
        unsigned int n_folders = 0;

        while (folders[n_folders])
                n_folders++;
        while (n_folders > 0)
                folder_list(folders[--n_folders], suffix, paths);

        names = g_list_sort(g_hash_table_get_keys(paths), name_compare);
        for (const GList *name = names; name; name = name->next)
                g_ptr_array_add(list, g_strdup(g_hash_table_lookup(paths, name->data)));
        g_ptr_array_add(list, NULL);
        return (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

char *text_file_find(const char *const *folders, const char *name)
{
        for (; *folders; folders++) {
                g_autofree char *path = g_build_filename(*folders, name, NULL);

                if (g_file_test(path, G_FILE_TEST_EXISTS))
                        return g_steal_pointer(&path);
        }
        return NULL;
}
