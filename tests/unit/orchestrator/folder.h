/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Folders with files in them, for tests of what is read from files. */

#include <glib.h>
#include <glib/gstdio.h>

static inline char *folder_make(void)
{
        return g_dir_make_tmp("test-folder-XXXXXX", NULL);
}

/* file may be a path within the folder. */
static inline void folder_put(const char *folder, const char *file, const char *text)
{
        g_autofree char *path = g_build_filename(folder, file, NULL);
        g_autofree char *parent = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Also what is in its folders. */
static inline void folder_remove(const char *folder)
{
        GDir *dir = g_dir_open(folder, 0, NULL);
        const char *file;

        while ((file = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(folder, file, NULL);

                if (g_file_test(path, G_FILE_TEST_IS_DIR))
                        folder_remove(path);
                else
                        g_assert_cmpint(g_unlink(path), ==, 0);
        }
        g_dir_close(dir);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}
