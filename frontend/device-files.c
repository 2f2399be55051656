/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/device-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/counters.h"
#include "frontend/hypervisor.h"

/* Those in FRONTEND_FOLDER. */
static const char *const names[_DEVICE_FILE_MAX] = {
        [DEVICE_FILE_STATE] = "state",
        [DEVICE_FILE_INFLIGHT] = "inflight",
        [DEVICE_FILE_STATUS] = STATUS_FILE,
        [DEVICE_FILE_COUNTERS] = COUNTERS_FILE,
};

static int own_files_open(DeviceFiles *files)
{
        _cleanup_fd_ int folder = openat(files->fds[DEVICE_FILE_FOLDER], FRONTEND_FOLDER,
                                         O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (folder < 0 && errno != ENOENT)
                return -errno;
        for (int i = DEVICE_FILE_STATE; i < _DEVICE_FILE_MAX; i++) {
                files->fds[i] = folder < 0
                                        ? memfd_create(names[i], MFD_CLOEXEC)
                                        : openat(folder, names[i],
                                                 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (files->fds[i] < 0)
                        return -errno;
        }
        return 0;
}

static int grants_open(GrantSets *grants)
{
        while (grants->n < GRANT_SETS_MAX) {
                GrantSet set = GRANT_SET_NONE;
                int r = hypervisor_grants_open(&set.fds[0]);

                if (r < 0)
                        return r;
                grants->sets[grants->n++] = set;
        }
        return 0;
}

static int folder_open(int rundir, const char *instance, DeviceFiles *files)
{
        int *fds = files->fds;

        fds[DEVICE_FILE_FOLDER] =
                openat(rundir, instance, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fds[DEVICE_FILE_FOLDER] < 0)
                return -errno;
        fds[DEVICE_FILE_LAUNCH] =
                openat(fds[DEVICE_FILE_FOLDER], LAUNCH_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fds[DEVICE_FILE_LAUNCH] < 0 ? -errno : 0;
}

int device_files_open(int rundir, const DeviceName *name, DeviceFiles *ret_files,
                      Launch *ret_launch)
{
        _cleanup_(device_files_close) DeviceFiles files = DEVICE_FILES_NONE;
        char instance[DEVICE_INSTANCE_MAX];
        LogContext context = { .device = instance, .domid = name->domid };
        Launch launch;
        int r;

        device_name_instance(name, instance);
        r = folder_open(rundir, instance, &files);
        if (r >= 0 && device_files_launch(&files, &context, &launch) < 0)
                return -EBADMSG;
        if (r >= 0)
                r = own_files_open(&files);
        if (r >= 0 && launch.grant_usage)
                r = grants_open(&files.grants);
        if (r < 0) {
                log_error_errno(&context, r, "cannot open the device's files: %m");
                return r;
        }
        *ret_files = device_files_steal(&files);
        *ret_launch = launch;
        return 0;
}

void device_files_close(DeviceFiles *files)
{
        for (int i = 0; i < _DEVICE_FILE_MAX; i++)
                fd_closep(&files->fds[i]);
        grant_sets_close(&files->grants);
}

DeviceFiles device_files_steal(DeviceFiles *files)
{
        DeviceFiles stolen = *files;

        *files = (DeviceFiles)DEVICE_FILES_NONE;
        return stolen;
}

int device_files_launch(const DeviceFiles *files, const LogContext *context, Launch *ret_launch)
{
        const char *key = "";
        int r = launch_read_fd(files->fds[DEVICE_FILE_LAUNCH], ret_launch, &key);

        if (r < 0)
                log_error_errno(context, r, "launch file, key \"%s\": %m", key);
        return r;
}

bool device_files_are_same(const DeviceFiles *one, const DeviceFiles *other)
{
        struct stat a, b;

        return fstat(one->fds[DEVICE_FILE_FOLDER], &a) == 0 &&
               fstat(other->fds[DEVICE_FILE_FOLDER], &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

void device_files_close_status(DeviceFiles *files)
{
        fd_closep(&files->fds[DEVICE_FILE_STATUS]);
}

int device_files_set_status(const DeviceFiles *files, const char *status)
{
        const int fd = files->fds[DEVICE_FILE_STATUS];
        char line[16];
        int length = *status != '\0' ? snprintf(line, sizeof(line), "%s\n", status) : 0;

        if (fd < 0)
                return 0;
        if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)length, 0) < 0)
                return -errno;
        return 0;
}
