/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/member-status.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/launch.h"
#include "common/small-file.h"
#include "orchestrator/run-state.h"

#define STATUS_SIZE 16

struct MemberStatus {
        int fd;
        sd_event_source *watch;
        UnitHandler *changed;
        void *userdata;
};

static int status_changed(sd_event_source *source _unused_,
                          const struct inotify_event *event _unused_, void *userdata)
{
        const MemberStatus *status = userdata;

        status->changed(status->userdata);
        return 0;
}

static int file_open(int rundir, const DeviceName *name)
{
        char instance[DEVICE_INSTANCE_MAX];
        _cleanup_fd_ int folder = -1;
        int fd;

        device_name_instance(name, instance);
        folder = run_state_open(rundir, instance);
        if (folder < 0)
                return folder;
        fd = openat(folder, FRONTEND_FOLDER "/" STATUS_FILE,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? -errno : fd;
}

int member_status_open(sd_event *event, int rundir, const DeviceName *name, UnitHandler *changed,
                       void *userdata, MemberStatus **ret_status)
{
        MemberStatus *status;
        int fd, r;

        fd = file_open(rundir, name);
        if (fd < 0)
                return fd;
        status = g_new(MemberStatus, 1);
        *status = (MemberStatus){ .fd = fd, .changed = changed, .userdata = userdata };
        r = sd_event_add_inotify_fd(event, &status->watch, fd, IN_MODIFY, status_changed, status);
        if (r < 0) {
                member_status_close(status);
                return r;
        }
        *ret_status = status;
        return 0;
}

MemberStatus *member_status_close(MemberStatus *status)
{
        if (!status)
                return NULL;
        sd_event_source_disable_unref(status->watch);
        fd_closep(&status->fd);
        g_free(status);
        return NULL;
}

UnitPhase member_status_phase(const MemberStatus *status)
{
        char text[STATUS_SIZE];
        ssize_t size = small_file_read(status->fd, text, sizeof(text) - 1);

        text[size > 0 ? size : 0] = '\0';
        g_strchomp(text);
        if (strcmp(text, STATUS_READY) == 0)
                return UNIT_UP;
        return strcmp(text, STATUS_FAILED) == 0 ? UNIT_DOWN : UNIT_STARTING;
}

void member_status_reset(MemberStatus *status)
{
        int r = ftruncate(status->fd, 0);

        (void)r; /* one that says nothing cannot be made to say less */
}
