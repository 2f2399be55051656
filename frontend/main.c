/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xen-virtio-frontend: serves one virtio device of one guest. See xen-virtio-frontend(8). */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/device-name.h"
#include "common/launch.h"
#include "common/log.h"
#include "frontend/frontend.h"
#include "frontend/isolate.h"

/* For the hand-over to the next process: less than the unit's TimeoutStopSec. */
#define LEAVE_USEC UINT64_C(1500000)

typedef struct Arguments {
        const char *run_directory;
        const char *instance;
} Arguments;

static void help_print(void)
{
        puts("Usage: xen-virtio-frontend [OPTION...] INSTANCE\n"
             "Serve one virtio device of a Xen guest; started by xen-virtiod.\n"
             "\n"
             "INSTANCE names the device, for example 5-disk-51712.\n"
             "\n"
             "  --run-directory=DIR  where the device's folder is (default: " RUN_DIRECTORY ")\n"
             "  --help               show this help\n"
             "  --version            show the version");
}

/* Returns 1 to go on, 0 if all is done, or -EINVAL. */
static int arguments_parse(int argc, char **argv, Arguments *ret_arguments)
{
        static const struct option options[] = {
                { "run-directory", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                { NULL, 0, NULL, 0 },
        };
        int option;

        while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                switch (option) {
                case 'd':
                        ret_arguments->run_directory = optarg;
                        break;
                case 'h':
                        help_print();
                        return 0;
                case 'v':
                        puts("xen-virtio-frontend " XEN_VIRTIO_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        }
        if (argc != optind + 1) {
                fprintf(stderr, "%s: exactly one INSTANCE is wanted, see --help\n", argv[0]);
                return -EINVAL;
        }
        ret_arguments->instance = argv[optind];
        return 1;
}

/* The device's folder becomes the working directory: it stays reachable whoever we are then. */
static int launch_load(const Arguments *arguments, Launch *ret_launch)
{
        const LogContext context = { .device = arguments->instance };
        const char *key = "";
        int r;

        if (chdir(arguments->run_directory) < 0 || chdir(arguments->instance) < 0) {
                r = -errno;
                log_error_errno(&context, r, "%s/%s: %m", arguments->run_directory,
                                arguments->instance);
                return r;
        }
        r = launch_read(AT_FDCWD, ret_launch, &key);
        if (r < 0)
                log_error_errno(&context, r, "launch file, key \"%s\": %m", key);
        return r;
}

static int loop_new(sd_event **ret_event)
{
        sd_event *event;
        sigset_t signals;
        int r;

        r = sd_event_new(&event);
        if (r < 0)
                return r;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        r = sd_event_set_watchdog(event, true);
        if (r < 0) {
                sd_event_unref(event);
                return r;
        }
        *ret_event = event;
        return 0;
}

/* However long a backend takes for the requests that it has begun. */
static int signal_received(sd_event_source *source, const struct signalfd_siginfo *info _unused_,
                           void *userdata)
{
        frontend_leave(userdata);
        /* Without a handler sd-event ends the loop, with status 0. */
        return sd_event_add_time_relative(sd_event_source_get_event(source), NULL, CLOCK_MONOTONIC,
                                          LEAVE_USEC, 0, NULL, NULL);
}

static int signals_handle(sd_event *event, Frontend *frontend)
{
        int r = sd_event_add_signal(event, NULL, SIGTERM, signal_received, frontend);

        return r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, signal_received, frontend);
}

static int serve(const DeviceName *name, const Launch *launch, const LogContext *context)
{
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(frontend_freep) Frontend *frontend = NULL;
        int r;

        r = loop_new(&event);
        if (r < 0)
                return r;
        r = frontend_new(event, name, launch, &frontend);
        if (r >= 0)
                r = signals_handle(event, frontend);
        if (r < 0)
                return r;

        r = frontend_restrict(frontend);
        if (r >= 0)
                r = isolate_user();
        /* Also opens the journal's socket, while that is still allowed. */
        if (r >= 0)
                log_full(LOG_DEBUG, context, NULL, 0, "took over IOREQ server %u", launch->server);
        if (r >= 0)
                r = isolate_syscalls();
        if (r < 0) {
                log_error_errno(context, r, "cannot give up privileges: %m");
                return r;
        }
        /* What the guest wrote must not be looked at before this line. */

        r = frontend_serve(frontend);
        if (r < 0)
                return r;
        return sd_event_loop(event);
}

int main(int argc, char **argv)
{
        Arguments arguments = { .run_directory = RUN_DIRECTORY };
        LogContext context = { 0 };
        DeviceName name;
        Launch launch;
        int r;

        log_setup();
        r = arguments_parse(argc, argv, &arguments);
        if (r <= 0)
                return r < 0 ? EX_USAGE : EXIT_SUCCESS;
        if (device_name_parse(arguments.instance, &name) < 0) {
                log_error(NULL, "\"%s\" is not the name of a device", arguments.instance);
                return EX_CONFIG;
        }
        if (launch_load(&arguments, &launch) < 0)
                return EX_CONFIG;

        context.device = arguments.instance;
        context.domid = name.domid;
        r = serve(&name, &launch, &context);
        return r < 0 ? EX_TEMPFAIL : EXIT_SUCCESS;
}
