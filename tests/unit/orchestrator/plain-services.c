/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/orchestrator/plain-services.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "common/macros.h"

static void on_changed(void *userdata G_GNUC_UNUSED, const Device *device G_GNUC_UNUSED)
{
}

static const char *on_holder(void *userdata G_GNUC_UNUSED, const Device *device G_GNUC_UNUSED,
                             uint64_t base G_GNUC_UNUSED)
{
        return NULL;
}

static int on_order(void *userdata G_GNUC_UNUSED, const Device *device G_GNUC_UNUSED)
{
        return 0;
}

static int folder_open(const char *root, const char *name)
{
        g_autofree char *path = g_build_filename(root, name, NULL);

        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

DeviceServices plain_services_make(const char *root)
{
        return (DeviceServices){
                .rundir = folder_open(root, "run"),
                .unitdir = folder_open(root, "units"),
                .order = on_order,
                .holder = on_holder,
                .changed = on_changed,
        };
}

void plain_services_close(DeviceServices *services)
{
        fd_closep(&services->rundir);
        fd_closep(&services->unitdir);
}
