/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xen-virtio-frontend: serves virtio devices of one guest. See xen-virtio-frontend(8). */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sysexits.h>

#include "common/device-list.h"
#include "common/device-name.h"
#include "common/launch.h"
#include "common/log.h"
#include "frontend/descriptor-store.h"
#include "frontend/device-files.h"
#include "frontend/frontend.h"
#include "frontend/isolate.h"
#include "frontend/loop.h"
#include "frontend/reload.h"

/* For the hand-over to the next process: less than the unit's TimeoutStopSec. */
#define LEAVE_USEC UINT64_C(1500000)

/* The unit's RestartKillSignal=: the next process is going to get what systemd keeps of ours. */
#define RESTART_SIGNAL SIGINT

typedef struct Arguments {
        const char *run_directory;
        const char *instance;
        bool reload;
} Arguments;

/* What a process is to do, and what it has opened for that. */
typedef struct Job {
        const char *instance;
        uint16_t domid;
        bool is_shared;
        int rundir; /* descriptors */
        int folder; /* in it: the instance's own */
        int reload; /* the socket, if it is shared */
        DeviceList list;
        DeviceFiles files[DEVICE_LIST_MAX]; /* of the devices in the list, once they are open */
        unsigned int n_files;
        Launch launch; /* of one of them */
        LogContext log;
} Job;

static void help_print(void)
{
        puts("Usage: xen-virtio-frontend [OPTION...] INSTANCE\n"
             "Serve virtio devices of a Xen guest; started by xen-virtiod.\n"
             "\n"
             "INSTANCE names a device, for example 5-disk-51712; or it is 5-shared, for those that\n"
             "the file \"devices\" in that folder lists.\n"
             "\n"
             "  --run-directory=DIR  where the folders are (default: " RUN_DIRECTORY ")\n"
             "  --reload             make the process that runs look at its list again\n"
             "  --help               show this help\n"
             "  --version            show the version");
}

/* Returns 1 to go on, 0 if all is done, or -EINVAL. */
static int arguments_parse(int argc, char **argv, Arguments *ret_arguments)
{
        static const struct option options[] = {
                { "run-directory", required_argument, NULL, 'd' },
                { "reload", no_argument, NULL, 'r' },
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
                case 'r':
                        ret_arguments->reload = true;
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

/* Whom the instance stands for. Returns 0 or -EINVAL, which has been logged. */
static int instance_parse(Job *job, const Arguments *arguments)
{
        job->instance = arguments->instance;
        if (device_name_parse_shared(job->instance, &job->domid) >= 0) {
                job->is_shared = true;
        } else if (device_name_parse(job->instance, &job->list.names[0]) >= 0 &&
                   !arguments->reload) {
                job->list.n = 1;
                job->domid = job->list.names[0].domid;
        } else {
                log_error(NULL, "\"%s\" is not the name of %s", job->instance,
                          arguments->reload ? "a frontend of several devices" : "a device");
                return -EINVAL;
        }
        job->log = (LogContext){ .device = job->instance, .domid = job->domid };
        return 0;
}

/* Returns 0 or a negative errno, which has been logged. */
static int list_load(Job *job, const char *run_directory)
{
        const char *problem = "";
        int r = 0;

        job->rundir = open(run_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (job->rundir >= 0)
                job->folder = openat(job->rundir, job->instance,
                                     O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (job->folder < 0) {
                r = -errno;
                log_error_errno(&job->log, r, "%s/%s: %m", run_directory, job->instance);
                return r;
        }
        if (job->is_shared)
                r = device_list_read(job->folder, job->domid, &job->list, &problem);
        if (r < 0)
                log_error_errno(&job->log, r, "list of devices: %s%s%m", problem,
                                *problem != '\0' ? ": " : "");
        return r;
}

/* Opens what the devices have. Those that cannot be opened are left out, but not all of them. */
static int files_open(Job *job)
{
        const DeviceName *names = job->list.names;

        for (unsigned int i = 0; i < job->list.n; i++) {
                Launch launch;

                if (device_files_open(job->rundir, &names[i], &job->files[job->n_files], &launch) <
                    0)
                        continue;
                if (job->n_files == 0)
                        job->launch = launch;
                if (!job->is_shared)
                        device_files_close_status(&job->files[job->n_files]);
                job->list.names[job->n_files++] = names[i];
        }
        job->list.n = job->n_files;
        fd_closep(&job->rundir);
        if (job->n_files > 0)
                return 0;
        if (job->is_shared)
                log_error(&job->log, "no device in the list can be served");
        return -ENOENT;
}

/* The process's end, when it is told to. */
typedef struct Leave {
        int signals; /* a descriptor; or -1 */
        Loop *loop;
        Frontend *frontend;
        LoopTimer timer;
} Leave;

static void leave_elapsed(void *userdata)
{
        loop_exit(userdata, 0);
}

/* However long a backend takes for the requests that it has begun. */
static void signal_received(void *userdata)
{
        Leave *leave = userdata;
        struct signalfd_siginfo info;

        if (read(leave->signals, &info, sizeof(info)) != sizeof(info))
                return;
        frontend_leave(leave->frontend, info.ssi_signo == RESTART_SIGNAL);
        if (!leave->timer.is_on)
                loop_timer_start(&leave->timer, LEAVE_USEC);
}

/* Not with handlers: ppoll() runs none while there is something to read, as the guest likes. */
static int leave_prepare(Leave *leave)
{
        sigset_t signals;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, RESTART_SIGNAL);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        leave->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (leave->signals < 0)
                return -errno;
        loop_timer_init(&leave->timer, leave->loop, leave_elapsed, leave->loop);
        return loop_watch(leave->loop, leave->signals, signal_received, leave);
}

static void leave_clear(Leave *leave)
{
        if (leave->signals < 0)
                return;
        loop_timer_stop(&leave->timer);
        loop_unwatch(leave->loop, leave->signals);
        fd_closep(&leave->signals);
}

static void device_opened(void *userdata, const DeviceName *name, DeviceFiles *files)
{
        int r = frontend_add(userdata, name, files);

        (void)r; /* it was logged, and is that device's alone */
}

static void devices_listed(void *userdata, const DeviceList *list)
{
        frontend_keep(userdata, list);
}

static const ReloadOps reload_ops = { .listed = devices_listed, .opened = device_opened };

static int devices_add(Job *job, Frontend *frontend)
{
        int r = 0;

        for (unsigned int i = 0; i < job->list.n; i++) {
                r = frontend_add(frontend, &job->list.names[i], &job->files[i]);
                if (r < 0 && !job->is_shared)
                        return r;
        }
        return 0;
}

/* A network card's control queue may have to be served here; of several devices it may come later.
 */
static bool maps_memory(const Job *job)
{
        return job->is_shared || job->launch.config.net_queue_pairs > 1;
}

/* Everything that takes a right that is given up here has been done before. */
static int privileges_drop(const Job *job, Frontend *frontend)
{
        int r;

        r = frontend_restrict(frontend);
        if (r >= 0)
                r = isolate_user();
        /* Also opens the journal's socket, while that is still allowed. */
        if (r >= 0)
                log_full(LOG_DEBUG, &job->log, NULL, 0, "took over IOREQ server %u",
                         job->launch.server);
        if (r >= 0)
                r = isolate_syscalls(maps_memory(job));
        if (r < 0)
                log_error_errno(&job->log, r, "cannot give up privileges: %m");
        return r;
}

/* Who ends the loop has said why, if it is not just over. */
static int events_handle(const Job *job, Loop *loop)
{
        int code, r = loop_run(loop, &code);

        if (r >= 0)
                return code;
        log_error_errno(&job->log, r, "cannot wait for events: %m");
        return r;
}

static int serve(Job *job, DescriptorStore *store)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(frontend_freep) Frontend *frontend = NULL;
        FrontendParts parts = {
                .instance = job->instance,
                .domid = job->domid,
                .is_shared = job->is_shared,
                .launch = &job->launch,
                .store = store,
        };
        _cleanup_(leave_clear) Leave leave = { .signals = -1 };
        Reload reload = {
                .domid = job->domid, .fd = job->reload, .log = &job->log, .ops = &reload_ops
        };
        int r;

        r = loop_new(&loop);
        if (r >= 0)
                r = loop_watchdog_start(loop);
        if (r < 0) {
                log_error_errno(&job->log, r, "cannot make an event loop: %m");
                return r;
        }
        parts.loop = loop;
        r = frontend_new(&parts, &frontend);
        if (r < 0)
                return r;
        leave.loop = loop;
        leave.frontend = frontend;
        r = leave_prepare(&leave);
        if (r < 0) {
                log_error_errno(&job->log, r, "cannot handle signals: %m");
                return r;
        }

        r = privileges_drop(job, frontend);
        if (r < 0)
                return r;
        /* What the guest wrote must not be looked at before this line. */

        reload.userdata = frontend;
        r = devices_add(job, frontend);
        if (r >= 0 && job->is_shared)
                r = reload_receive(&reload, loop);
        if (r >= 0)
                r = frontend_serve(frontend);
        return r < 0 ? r : events_handle(job, loop);
}

/* Returns an exit status. */
static int job_serve(Job *job)
{
        _cleanup_(descriptor_store_close) DescriptorStore store = { 0 };
        int r;

        r = descriptor_store_open(&store, &job->log);
        if (r < 0) {
                log_error_errno(&job->log, r, "cannot take over descriptors: %m");
                return EX_TEMPFAIL;
        }
        /* Nothing is read from it, and what is opened next may have its number. */
        close(STDIN_FILENO);
        if (files_open(job) < 0)
                return EX_CONFIG;
        if (job->is_shared) {
                r = reload_socket_open(job->folder, &job->reload);
                if (r < 0) {
                        log_error_errno(&job->log, r, "cannot make %s: %m", RELOAD_SOCKET);
                        return EX_CONFIG;
                }
        }
        fd_closep(&job->folder);
        return serve(job, &store) < 0 ? EX_TEMPFAIL : EXIT_SUCCESS;
}

static int job_reload(const Job *job)
{
        int r = reload_send(job->rundir, job->folder, &job->list);

        if (r < 0)
                log_error_errno(&job->log, r, "cannot reload: %m");
        return r < 0 ? EX_TEMPFAIL : EXIT_SUCCESS;
}

static void job_close(Job *job)
{
        for (unsigned int i = 0; i < job->n_files; i++)
                device_files_close(&job->files[i]);
        fd_closep(&job->reload);
        fd_closep(&job->folder);
        fd_closep(&job->rundir);
}

int main(int argc, char **argv)
{
        _cleanup_(job_close) Job job = { .rundir = -1, .folder = -1, .reload = -1 };
        Arguments arguments = { .run_directory = RUN_DIRECTORY };
        int r;

        log_setup();
        r = arguments_parse(argc, argv, &arguments);
        if (r <= 0)
                return r < 0 ? EX_USAGE : EXIT_SUCCESS;
        if (instance_parse(&job, &arguments) < 0 || list_load(&job, arguments.run_directory) < 0)
                return EX_CONFIG;
        return arguments.reload ? job_reload(&job) : job_serve(&job);
}
