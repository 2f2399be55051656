/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/fake-file.h"

#include <errno.h>
#include <glib.h>
#include <linux/magic.h>
#include <string.h>

#include "tests/fuzz/fake-calls.h"
#include "tests/fuzz/fake-descriptor.h"

typedef struct FakeFile {
        FakeObject object;
        FakeFileType type;
        char *bytes;
        size_t size, room;
} FakeFile;

/* To be used again: new memory costs more than all that is done with it. */
#define SPARE_MAX 4
static struct {
        char *bytes;
        size_t room;
} spare[SPARE_MAX];
static unsigned int n_spare;

static void file_free(FakeObject *object)
{
        FakeFile *file = (FakeFile *)object;

        if (n_spare == SPARE_MAX || !file->bytes) {
                g_free(file->bytes);
                return;
        }
        spare[n_spare].bytes = file->bytes;
        spare[n_spare++].room = file->room;
}

static const FakeKind file_kind = { .free = file_free };

static FakeFile *file_get(int fd)
{
        return (FakeFile *)fake_descriptor_get(fd, &file_kind);
}

int fake_file_new(FakeFileType type)
{
        FakeFile *file = g_new0(FakeFile, 1);

        file->object = (FakeObject){ .kind = &file_kind, .n_refs = 1 };
        file->type = type;
        return fake_descriptor_new(&file->object);
}

static void file_resize(FakeFile *file, size_t size)
{
        g_assert_cmpuint(size, <=, FAKE_FILE_MAX);
        if (!file->bytes && n_spare > 0) {
                file->bytes = spare[--n_spare].bytes;
                file->room = spare[n_spare].room;
        }
        if (size > file->room) {
                file->bytes = g_realloc(file->bytes, size);
                file->room = size;
        }
        if (size > file->size)
                memset(file->bytes + file->size, 0, size - file->size);
        file->size = size;
}

/* What is in it of a range. */
static size_t file_clip(const FakeFile *file, size_t size, off_t offset)
{
        g_assert_cmpint(offset, >=, 0);
        if ((size_t)offset >= file->size)
                return 0;
        return MIN(size, file->size - (size_t)offset);
}

int __wrap_ftruncate64(int fd, off_t size)
{
        file_resize(file_get(fd), (size_t)size);
        return 0;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size)
{
        FakeFile *file = file_get(fd);

        g_assert_cmpint(mode, ==, 0);
        if ((size_t)(offset + size) > file->size)
                file_resize(file, (size_t)(offset + size));
        return 0;
}

/* It may be that of a socket, which a backend has sent. */
static const FakeFile *file_find(int fd)
{
        const FakeObject *object = fake_descriptor_get(fd, NULL);

        return object->kind == &file_kind ? (const FakeFile *)object : NULL;
}

int __wrap_fstat64(int fd, struct stat *ret_status)
{
        const FakeFile *file = file_find(fd);

        *ret_status = (struct stat){ .st_mode = S_IFSOCK };
        if (file)
                ret_status->st_mode = file->type == FAKE_FILE_DEVICE ? S_IFCHR : S_IFREG;
        if (file)
                ret_status->st_size = (off_t)file->size;
        return 0;
}

int __wrap_fstatfs64(int fd, struct statfs *ret_system)
{
        const FakeFile *file = file_find(fd);

        *ret_system = (struct statfs){ .f_type = SOCKFS_MAGIC };
        if (file)
                ret_system->f_type =
                        file->type == FAKE_FILE_ON_DISK ? EXT4_SUPER_MAGIC : TMPFS_MAGIC;
        return 0;
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset)
{
        const FakeFile *file = file_get(fd);
        const size_t n = file_clip(file, size, offset);

        if (n > 0)
                memcpy(bytes, file->bytes + offset, n);
        return (ssize_t)n;
}

/* Grows the file, as the kernel does. */
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
        FakeFile *file = file_get(fd);

        g_assert_cmpint(offset, >=, 0);
        if ((size_t)offset + size > file->size)
                file_resize(file, (size_t)offset + size);
        memcpy(file->bytes + offset, bytes, size);
        return (ssize_t)size;
}
