/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/fake-descriptor.h"

#include <glib.h>
#include <poll.h>
#include <stdarg.h>

#include "tests/fuzz/fake-calls.h"

static FakeObject *objects[FAKE_FDS_MAX];

FakeObject *fake_object_ref(FakeObject *object)
{
        object->n_refs++;
        return object;
}

void fake_object_unref(FakeObject *object)
{
        if (--object->n_refs > 0)
                return;
        if (object->kind->free)
                object->kind->free(object);
        g_free(object);
}

int fake_descriptor_new(FakeObject *object)
{
        int place = 0;

        while (objects[place])
                g_assert_cmpint(++place, <, FAKE_FDS_MAX);
        objects[place] = object;
        return FAKE_FD_BASE + place;
}

bool fake_descriptor_is_fake(int fd)
{
        return fd >= FAKE_FD_BASE;
}

FakeObject *fake_descriptor_get(int fd, const FakeKind *kind)
{
        FakeObject *object;

        g_assert_cmpint(fd, >=, FAKE_FD_BASE);
        g_assert_cmpint(fd, <, FAKE_FD_BASE + FAKE_FDS_MAX);
        object = objects[fd - FAKE_FD_BASE];
        g_assert_nonnull(object);
        g_assert_true(!kind || object->kind == kind);
        return object;
}

unsigned int fake_descriptors_count(void)
{
        unsigned int n = 0;

        for (unsigned int i = 0; i < FAKE_FDS_MAX; i++)
                n += objects[i] != NULL;
        return n;
}

int __wrap_close(int fd)
{
        FakeObject *object;

        if (!fake_descriptor_is_fake(fd))
                return __real_close(fd);
        object = fake_descriptor_get(fd, NULL);
        objects[fd - FAKE_FD_BASE] = NULL;
        fake_object_unref(object);
        return 0;
}

/* Of what the frontend asks for, all can be done. */
int __wrap_fcntl64(int fd, int command, ...)
{
        va_list arguments;
        long argument;

        va_start(arguments, command);
        argument = va_arg(arguments, long);
        va_end(arguments);
        if (!fake_descriptor_is_fake(fd))
                return __real_fcntl64(fd, command, argument);
        fake_descriptor_get(fd, NULL);
        return 0;
}

int __wrap_fchdir(int fd)
{
        if (!fake_descriptor_is_fake(fd))
                return __real_fchdir(fd);
        fake_descriptor_get(fd, NULL);
        return 0;
}

static bool descriptor_is_ready(int fd)
{
        const FakeObject *object = fake_descriptor_get(fd, NULL);

        return object->kind->is_ready && object->kind->is_ready(object);
}

/* Time passes by itself only in fake-clock.h. */
int __wrap_poll(struct pollfd *fds, nfds_t n_fds, int timeout)
{
        int n = 0;

        g_assert_cmpint(timeout, ==, 0);
        for (nfds_t i = 0; i < n_fds; i++) {
                fds[i].revents = 0;
                if (fds[i].fd < 0 || !descriptor_is_ready(fds[i].fd))
                        continue;
                g_assert_cmpint(fds[i].events, ==, POLLIN);
                fds[i].revents = POLLIN;
                n++;
        }
        return n;
}
