/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-services.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/device-name.h"
#include "common/log.h"
#include "orchestrator/dropin.h"

static void on_problem(void *userdata _unused_, const char *problem)
{
        log_full(LOG_ERR, NULL, LOG_ID_CONFIGURATION, 0, "%s", problem);
}

/* Opens a folder, and makes it where that is left to us. */
static int folder_open(const char *path, mode_t mode)
{
        int fd;

        if (mkdir(path, mode) < 0 && errno != EEXIST) {
                log_error_errno(NULL, -errno, "%s: %m", path);
                return -errno;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                log_error_errno(NULL, -errno, "%s: %m", path);
                return -errno;
        }
        return fd;
}

static void shared_open(DeviceServices *services, void (*schedule)(void *userdata))
{
        const SharedServices shared = {
                .event = services->event,
                .claims = services->claims,
                .units = services->units,
                .rundir = services->rundir,
                .unitdir = services->unitdir,
                .starts = services->starts,
                .schedule = schedule,
                .userdata = services->userdata,
        };

        services->shared = shared_frontends_new(&shared);
}

int device_services_open(DeviceServices *services, const StoreOps *store_ops,
                         void (*schedule)(void *userdata))
{
        int r;

        services->rundir = services->unitdir = -1;
        services->rundir = folder_open(RUN_DIRECTORY, 0700);
        if (services->rundir < 0)
                return services->rundir;
        services->unitdir = folder_open(DROPIN_UNIT_DIRECTORY, 0755);
        if (services->unitdir < 0)
                return services->unitdir;
        services->configuration = configuration_load("", on_problem, NULL);

        r = claims_open(&services->claims);
        if (r < 0) {
                log_error_errno(NULL, r, "cannot open Xen's device model interface: %m");
                return r;
        }
        r = claims_probe(services->claims);
        if (r < 0)
                log_error_errno(NULL, r,
                                "this domain cannot have IOREQ servers, which devices need: %m, "
                                "see xen-virtioctl doctor");
        r = store_open(services->event, store_ops, services->userdata, &services->store);
        if (r < 0) {
                log_error_errno(NULL, r, "cannot watch xenstore: %m");
                return r;
        }
        r = units_new(services->event, &services->units);
        if (r < 0) {
                log_error_errno(NULL, r, "cannot watch systemd: %m");
                return r;
        }
        shared_open(services, schedule);
        return 0;
}

void device_services_close(DeviceServices *services)
{
        shared_frontends_free(services->shared);
        units_free(services->units);
        store_close(services->store);
        claims_close(services->claims);
        configuration_free(services->configuration);
        fd_closep(&services->rundir);
        fd_closep(&services->unitdir);
}

void device_services_reload(DeviceServices *services)
{
        configuration_free(services->configuration);
        services->configuration = configuration_load("", on_problem, NULL);
}
