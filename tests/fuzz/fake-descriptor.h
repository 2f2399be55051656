/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The descriptors of a program that asks no kernel: close(), fcntl(), fchdir() and poll() of what
 * is linked with this (by the linker's --wrap) serve numbers from FAKE_FD_BASE on. All others are
 * the kernel's. What is closed twice, or used after that, ends the program.
 */

#include <stdbool.h>

#define FAKE_FD_BASE 10000
#define FAKE_FDS_MAX 96

typedef struct FakeObject FakeObject;

typedef struct FakeKind {
        void (*free)(FakeObject *object);           /* no descriptor is left */
        bool (*is_ready)(const FakeObject *object); /* for POLLIN; NULL: never */
} FakeKind;

/* What descriptors stand for; the first member of what each kind has. */
struct FakeObject {
        const FakeKind *kind;
        unsigned int n_refs;
};

FakeObject *fake_object_ref(FakeObject *object);
void fake_object_unref(FakeObject *object);

/* Takes the object over. Returns its number. */
int fake_descriptor_new(FakeObject *object);

bool fake_descriptor_is_fake(int fd);

/* What a number stands for, which has to be open; of that kind, where one is named. */
FakeObject *fake_descriptor_get(int fd, const FakeKind *kind);

/* How many are open. */
unsigned int fake_descriptors_count(void);
