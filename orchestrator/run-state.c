/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/run-state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

/* Others pass through by a path they know, and cannot look around: the frontends' user does. */
#define FOLDER_MODE 0711
/* What frontends leave there is for frontends. */
#define FRONTEND_FOLDER_MODE 0700

static void dir_closep(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

/* The entries of a folder; dirfd itself stays open and unread. NULL with errno on failure. */
static DIR *dir_open(int dirfd)
{
        _cleanup_fd_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir;

        if (fd < 0)
                return NULL;
        dir = fdopendir(fd);
        if (dir)
                steal_fd(&fd);
        return dir;
}

int run_state_open(int rundir, const DeviceName *name)
{
        char instance[DEVICE_INSTANCE_MAX];
        int fd;

        device_name_instance(name, instance);
        fd = openat(rundir, instance, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

static int folder_read(int rundir, const DeviceName *name, Launch *ret_launch)
{
        LogContext context = { .domid = name->domid };
        char instance[DEVICE_INSTANCE_MAX];
        _cleanup_fd_ int fd = -1;
        const char *key;
        int r;

        fd = run_state_open(rundir, name);
        if (fd < 0)
                return fd;
        r = launch_read(fd, ret_launch, &key);
        if (r < 0 && r != -ENOENT) {
                device_name_instance(name, instance);
                context.device = instance;
                log_error_errno(&context, r, "cannot read the launch file: %s%s%m, leaving it", key,
                                *key != '\0' ? ": " : "");
        }
        return r;
}

int run_state_list(int rundir, RunStateFound *found, void *userdata)
{
        _cleanup_(dir_closep) DIR *dir = dir_open(rundir);
        const struct dirent *entry;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                DeviceName name;
                Launch launch;
                int r;

                if (device_name_parse(entry->d_name, &name) < 0)
                        continue;
                r = folder_read(rundir, &name, &launch);
                if (r == -ENOENT)
                        run_state_remove(rundir, &name);
                else
                        found(userdata, &name, r < 0 ? NULL : &launch);
        }
        return 0;
}

bool run_state_is_claimed(int rundir, const DeviceName *name)
{
        _cleanup_fd_ int fd = run_state_open(rundir, name);

        return fd >= 0 && faccessat(fd, LAUNCH_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int run_state_create(int rundir, const DeviceName *name, const Launch *launch)
{
        char instance[DEVICE_INSTANCE_MAX];
        _cleanup_fd_ int fd = -1;

        device_name_instance(name, instance);
        if (mkdirat(rundir, instance, FOLDER_MODE) < 0 && errno != EEXIST)
                return -errno;
        fd = run_state_open(rundir, name);
        if (fd < 0)
                return fd;
        /* Whatever the umask is. */
        if (fchmod(fd, FOLDER_MODE) < 0)
                return -errno;
        if (mkdirat(fd, FRONTEND_FOLDER, FRONTEND_FOLDER_MODE) < 0 && errno != EEXIST)
                return -errno;
        return launch_write(fd, launch);
}

void run_state_remove_socket(int rundir, const DeviceName *name)
{
        _cleanup_fd_ int fd = run_state_open(rundir, name);

        if (fd >= 0)
                unlinkat(fd, BACKEND_SOCKET, 0);
}

/* Removes all files of a folder, but not this one. Returns 0 or a negative errno. */
static int folder_empty(int fd, const char *but)
{
        _cleanup_(dir_closep) DIR *dir = dir_open(fd);
        const struct dirent *entry;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                if (strcmp(entry->d_name, but) != 0)
                        unlinkat(fd, entry->d_name, 0);
        }
        return 0;
}

static void frontend_folder_remove(int fd)
{
        _cleanup_fd_ int folder =
                openat(fd, FRONTEND_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        /* Whatever fails here, the removal of the device's folder fails too, and says it. */
        if (folder >= 0 && folder_empty(folder, "") == 0)
                unlinkat(fd, FRONTEND_FOLDER, AT_REMOVEDIR);
}

int run_state_remove(int rundir, const DeviceName *name)
{
        char instance[DEVICE_INSTANCE_MAX];
        _cleanup_fd_ int fd = -1;
        int r;

        device_name_instance(name, instance);
        fd = run_state_open(rundir, name);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        frontend_folder_remove(fd);
        r = folder_empty(fd, LAUNCH_FILE);
        if (r < 0)
                return r;
        if (unlinkat(fd, LAUNCH_FILE, 0) < 0 && errno != ENOENT)
                return -errno;
        return unlinkat(rundir, instance, AT_REMOVEDIR) < 0 ? -errno : 0;
}
