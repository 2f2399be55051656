/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/run-state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

/*
 * The folder that it is in is root's alone, so nobody gets here but who is let in: the backend, a
 * user of its own, to make its socket, and the frontend, another one, to find it. Neither can look
 * around, or take away what is root's.
 */
#define FOLDER_MODE 01733
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

int run_state_open(int rundir, const char *instance)
{
        int fd = openat(rundir, instance, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

static int folder_read(int rundir, const char *instance, uint16_t domid, Launch *ret_launch)
{
        const LogContext context = { .device = instance, .domid = domid };
        _cleanup_fd_ int fd = run_state_open(rundir, instance);
        const char *key;
        int r;

        if (fd < 0)
                return fd;
        r = launch_read(fd, ret_launch, &key);
        if (r < 0 && r != -ENOENT)
                log_error_errno(&context, r, "cannot read the launch file: %s%s%m, leaving it", key,
                                *key != '\0' ? ": " : "");
        return r;
}

/* Whose folder it is; -EINVAL if it is none of ours. */
static int instance_domid(const char *instance, uint16_t *ret_domid)
{
        DeviceName name;

        if (device_name_parse_shared(instance, ret_domid) >= 0)
                return 0;
        if (device_name_parse(instance, &name) < 0)
                return -EINVAL;
        *ret_domid = name.domid;
        return 0;
}

int run_state_list(int rundir, RunStateFound *found, void *userdata)
{
        _cleanup_(dir_closep) DIR *dir = dir_open(rundir);
        const struct dirent *entry;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                uint16_t domid;
                Launch launch;
                int r;

                if (instance_domid(entry->d_name, &domid) < 0)
                        continue;
                r = folder_read(rundir, entry->d_name, domid, &launch);
                if (r == -ENOENT)
                        run_state_remove(rundir, entry->d_name);
                else
                        found(userdata, entry->d_name, r < 0 ? NULL : &launch);
        }
        return 0;
}

int run_state_is_claimed(int rundir, const char *instance)
{
        _cleanup_fd_ int fd = run_state_open(rundir, instance);

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        if (faccessat(fd, LAUNCH_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        return 1;
}

int run_state_create(int rundir, const char *instance, const Launch *launch)
{
        _cleanup_fd_ int fd = -1;

        if (mkdirat(rundir, instance, FOLDER_MODE) < 0 && errno != EEXIST)
                return -errno;
        fd = run_state_open(rundir, instance);
        if (fd < 0)
                return fd;
        /* Whatever the umask is. */
        if (fchmod(fd, FOLDER_MODE) < 0)
                return -errno;
        if (mkdirat(fd, FRONTEND_FOLDER, FRONTEND_FOLDER_MODE) < 0 && errno != EEXIST)
                return -errno;
        return launch_write(fd, launch);
}

int run_state_write_list(int rundir, const char *instance, const DeviceList *list)
{
        _cleanup_fd_ int fd = run_state_open(rundir, instance);

        return fd < 0 ? fd : device_list_write(fd, list);
}

void run_state_remove_socket(int rundir, const char *instance)
{
        _cleanup_fd_ int fd = run_state_open(rundir, instance);

        if (fd < 0)
                return;
        unlinkat(fd, BACKEND_SOCKET, 0);
        /* One that was made when backends were root's. */
        if (fchmod(fd, FOLDER_MODE) < 0)
                return;
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

int run_state_remove(int rundir, const char *instance)
{
        _cleanup_fd_ int fd = run_state_open(rundir, instance);
        int r;

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
