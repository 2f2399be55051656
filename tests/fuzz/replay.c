/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * main() for a fuzzer without libFuzzer: runs it once over each of the files that are named, or
 * that lie in the folders that are named, and reports as TAP. A finding ends the program.
 */

#include <glib.h>
#include <stdio.h>

#include "common/macros.h"
#include "tests/fuzz/input.h"

static unsigned int n_files;

static void replay_file(const char *path)
{
        g_autofree char *bytes = NULL;
        gsize size;

        if (!g_file_get_contents(path, &bytes, &size, NULL)) {
                fprintf(stderr, "%s cannot be read\n", path);
                exit(1);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, size);
        printf("ok %u %s\n", ++n_files, path);
        fflush(stdout); /* the last line tells which file came before the finding */
}

static void replay(const char *path)
{
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        const char *name;

        if (!folder) {
                replay_file(path);
                return;
        }
        while ((name = g_dir_read_name(folder))) {
                g_autofree char *inner = g_build_filename(path, name, NULL);

                replay_file(inner);
        }
}

int main(int argc, char *argv[])
{
        for (int i = 1; i < argc; i++)
                replay(argv[i]);
        printf("1..%u\n", n_files);
        return n_files > 0 ? 0 : 1;
}
