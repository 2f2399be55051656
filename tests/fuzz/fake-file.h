/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files for fake-descriptor.h: fallocate(), fstat(), fstatfs(), ftruncate(), pread(), pwrite(). */

#include <stddef.h>

#define FAKE_FILE_MAX (1 << 20) /* bytes */

typedef enum FakeFileType {
        FAKE_FILE_MEMORY, /* of tmpfs, as memfd_create() makes them */
        FAKE_FILE_ON_DISK,
        FAKE_FILE_DEVICE, /* nothing that has a size */
} FakeFileType;

/* Returns its descriptor; it is empty. */
int fake_file_new(FakeFileType type);
