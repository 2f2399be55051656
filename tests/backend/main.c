/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xen-virtio-test-backend: options and the loop. See usage() for what it can do. */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/parse.h"
#include "tests/backend/backend.h"

#define EXIT_ILLEGAL 3

static volatile sig_atomic_t stop_wanted, refresh_wanted;

static void usage(void)
{
        puts("xen-virtio-test-backend --socket-path=PATH|--fd=N [OPTION...]\n"
             "A vhost-user backend that checks its frontend and misbehaves on command.\n\n"
             "  --type=TYPE              what device it is (block): block, can, console, gpio,\n"
             "                           i2c, input, loopback, net, rng, scsi, sound or\n"
             "                           spi\n"
             "  --blk-file=PATH          block: the image; SIGHUP looks at its size again\n"
             "  --path=PATH              gpio, i2c: a device of the host's, instead of a\n"
             "                           simulated one\n"
             "  --read-only              block: not to be written\n"
             "  --loopback-features=MASK loopback: offer these features of a device type, too\n"
             "  --queues=N               how many queues\n"
             "  --features=MASK          offer only these features\n"
             "  --protocol=MASK          offer only these protocol features\n"
             "  --delay=MSEC             serve each request so much later\n"
             "  --shuffle                of three requests, two and three times as much later\n"
             "  --misbehave=REQUEST:KIND[:ARGUMENT]   see misbehave.h; repeatable\n"
             "  --misbehave-connections=N             only on the first N connections\n"
             "  --misbehave-in-turn      as told n-th on the n-th connection only\n"
             "  --once                   end with the first connection\n"
             "  --report=FILE            write illegal messages there, too\n"
             "  --continue               go on after an illegal message\n"
             "  --trace                  name each request on standard error\n"
             "  --print-capabilities\n\n"
             "Status 3 says that the frontend sent a message that it may not send.");
}

static void on_signal(int number)
{
        if (number == SIGHUP)
                refresh_wanted = 1;
        else
                stop_wanted = 1;
}

/* Signals come only while the loop waits; nothing else waits for long. */
static void signals_set(sigset_t *ret_while_waiting)
{
        const struct sigaction action = { .sa_handler = on_signal };
        sigset_t blocked;

        sigemptyset(&blocked);
        sigaddset(&blocked, SIGHUP);
        sigaddset(&blocked, SIGINT);
        sigaddset(&blocked, SIGTERM);
        sigprocmask(SIG_BLOCK, &blocked, ret_while_waiting);
        sigaction(SIGHUP, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
}

static uint64_t now_msec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

enum {
        POLL_LISTENER,
        POLL_CONNECTION,
        POLL_CHANNEL,
        POLL_WORLD,
        POLL_KICKS,
        POLL_MAX = POLL_KICKS + WIRE_QUEUES_MAX,
};

static void polls_fill(const Backend *backend, int listener, struct pollfd *polls)
{
        const Channel *channel = &backend->channel;
        const bool floods = channel->n_config > 0 || channel->n_unknown > 0;

        polls[POLL_LISTENER] = (struct pollfd){ backend->fd < 0 ? listener : -1, POLLIN, 0 };
        polls[POLL_CONNECTION] = (struct pollfd){ backend->fd, backend->deaf ? 0 : POLLIN, 0 };
        polls[POLL_CHANNEL] =
                (struct pollfd){ channel->fd, (short)(POLLIN | (floods ? POLLOUT : 0)), 0 };
        polls[POLL_WORLD] =
                (struct pollfd){ backend->options->ops->readable ? backend->personality.fd : -1,
                                 POLLIN, 0 };
        for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++) {
                const Queue *queue = &backend->queues[i];

                polls[POLL_KICKS + i] =
                        (struct pollfd){ queue->started && queue->enabled ? queue->kick_fd : -1,
                                         POLLIN, 0 };
        }
}

/* Until a request is due; NULL for ever. */
static struct timespec *timeout_get(const Backend *backend, struct timespec *space)
{
        const uint64_t now = now_msec();
        uint64_t due = UINT64_MAX;

        for (uint32_t i = 0; i < backend->offer.n_queues; i++) {
                const uint64_t next = queue_next_due(&backend->queues[i]);

                if (next < due)
                        due = next;
        }
        if (due == UINT64_MAX)
                return NULL;
        due = due > now ? due - now : 0;
        *space = (struct timespec){ (time_t)(due / 1000), (long)(due % 1000 * 1000000) };
        return space;
}

/* Returns whether to go on. */
static bool events_handle(Backend *backend, int listener, const struct pollfd *polls)
{
        if (polls[POLL_LISTENER].revents) {
                const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd >= 0)
                        backend_connect(backend, fd);
        }
        if (polls[POLL_CHANNEL].revents & POLLOUT)
                channel_send_pending(&backend->channel);
        if ((polls[POLL_CHANNEL].revents & (POLLIN | POLLHUP)) && !channel_receive(backend))
                return false;
        if (polls[POLL_WORLD].revents)
                backend->personality.ops->readable(&backend->personality);
        for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++) {
                if (polls[POLL_KICKS + i].revents)
                        queue_kicked(&backend->queues[i]);
        }
        /* Requests that were there before the frontend asks for the rings to stop. */
        backend_serve(backend, now_msec());
        if (polls[POLL_CONNECTION].revents && !backend_receive(backend))
                return false;
        return backend->fd >= 0 ||
               (listener >= 0 && !(backend->options->once && backend->n_connections > 0));
}

static void loop_run(Backend *backend, int listener, const sigset_t *while_waiting)
{
        struct pollfd polls[POLL_MAX];
        struct timespec space;
        bool go_on = true;

        while (go_on && !stop_wanted) {
                int r;

                if (refresh_wanted) {
                        refresh_wanted = 0;
                        backend_refresh(backend);
                        backend_serve(backend, now_msec());
                }
                polls_fill(backend, listener, polls);
                r = ppoll(polls, POLL_MAX, timeout_get(backend, &space), while_waiting);
                if (r < 0 && errno != EINTR)
                        go_on = false;
                else if (r >= 0)
                        go_on = events_handle(backend, listener, polls);
        }
}

/* Under another name at first: a socket that can be seen takes connections. */
static int socket_listen(const char *path)
{
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s~", path);

        if (n < 0 || (size_t)n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        unlink(address.sun_path); /* of one that was killed */
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, 8) < 0 || rename(address.sun_path, path) < 0)
                return -errno;
        return steal_fd(&fd);
}

enum {
        OPTION_SOCKET = 1,
        OPTION_FD,
        OPTION_TYPE,
        OPTION_FILE,
        OPTION_READ_ONLY,
        OPTION_LOOPBACK_FEATURES,
        OPTION_QUEUES,
        OPTION_FEATURES,
        OPTION_PROTOCOL,
        OPTION_DELAY,
        OPTION_SHUFFLE,
        OPTION_MISBEHAVE,
        OPTION_MISBEHAVE_CONNECTIONS,
        OPTION_MISBEHAVE_IN_TURN,
        OPTION_ONCE,
        OPTION_REPORT,
        OPTION_CONTINUE,
        OPTION_TRACE,
        OPTION_CAPABILITIES,
        OPTION_HELP,
};

static const struct option options_known[] = {
        { "socket-path", required_argument, NULL, OPTION_SOCKET },
        { "fd", required_argument, NULL, OPTION_FD },
        { "type", required_argument, NULL, OPTION_TYPE },
        { "blk-file", required_argument, NULL, OPTION_FILE },
        { "path", required_argument, NULL, OPTION_FILE },
        { "read-only", no_argument, NULL, OPTION_READ_ONLY },
        { "loopback-features", required_argument, NULL, OPTION_LOOPBACK_FEATURES },
        { "queues", required_argument, NULL, OPTION_QUEUES },
        { "features", required_argument, NULL, OPTION_FEATURES },
        { "protocol", required_argument, NULL, OPTION_PROTOCOL },
        { "delay", required_argument, NULL, OPTION_DELAY },
        { "shuffle", no_argument, NULL, OPTION_SHUFFLE },
        { "misbehave", required_argument, NULL, OPTION_MISBEHAVE },
        { "misbehave-connections", required_argument, NULL, OPTION_MISBEHAVE_CONNECTIONS },
        { "misbehave-in-turn", no_argument, NULL, OPTION_MISBEHAVE_IN_TURN },
        { "once", no_argument, NULL, OPTION_ONCE },
        { "report", required_argument, NULL, OPTION_REPORT },
        { "continue", no_argument, NULL, OPTION_CONTINUE },
        { "trace", no_argument, NULL, OPTION_TRACE },
        { "print-capabilities", no_argument, NULL, OPTION_CAPABILITIES },
        { "help", no_argument, NULL, OPTION_HELP },
        { 0 },
};

static int number_read(const char *text, uint64_t max, uint64_t *ret_number)
{
        int r = parse_unsigned(text, max, ret_number);

        if (r < 0)
                fprintf(stderr, "%s: not a number up to %llu\n", text, (unsigned long long)max);
        return r;
}

static int misbehaviour_add(BackendOptions *options, const char *text)
{
        if (options->n_misbehaviours == MISBEHAVIOURS_MAX)
                return -ENOSPC;
        return misbehaviour_parse(text, &options->misbehaviours[options->n_misbehaviours++]);
}

static uint64_t option_max(int option)
{
        switch (option) {
        case OPTION_FEATURES:
        case OPTION_PROTOCOL:
        case OPTION_LOOPBACK_FEATURES:
                return UINT64_MAX;
        case OPTION_QUEUES:
                return WIRE_QUEUES_MAX;
        default:
                return INT32_MAX;
        }
}

static int option_number(BackendOptions *options, int option)
{
        uint64_t number = 0;
        int r = number_read(optarg, option_max(option), &number);

        if (r < 0)
                return r;
        if (option == OPTION_FD)
                options->fd = (int)number;
        else if (option == OPTION_QUEUES)
                options->personality.n_queues = (uint32_t)number;
        else if (option == OPTION_LOOPBACK_FEATURES)
                options->personality.features = number;
        else if (option == OPTION_FEATURES)
                options->features = number;
        else if (option == OPTION_PROTOCOL)
                options->protocol_features = number;
        else if (option == OPTION_DELAY)
                options->policy.delay_msec = (uint32_t)number;
        else
                options->misbehave_connections = (uint32_t)number;
        return 0;
}

static int option_apply(BackendOptions *options, int option)
{
        switch (option) {
        case OPTION_SOCKET:
                options->socket_path = optarg;
                return 0;
        case OPTION_TYPE:
                options->ops = personality_find(optarg);
                return options->ops ? 0 : -EINVAL;
        case OPTION_FILE:
                options->personality.path = optarg;
                return 0;
        case OPTION_READ_ONLY:
                options->personality.read_only = true;
                return 0;
        case OPTION_SHUFFLE:
                options->policy.shuffle = true;
                return 0;
        case OPTION_MISBEHAVE:
                return misbehaviour_add(options, optarg);
        case OPTION_MISBEHAVE_IN_TURN:
                options->misbehave_in_turn = true;
                return 0;
        case OPTION_ONCE:
                options->once = true;
                return 0;
        case OPTION_REPORT:
                options->report = optarg;
                return 0;
        case OPTION_CONTINUE:
                options->go_on = true;
                return 0;
        case OPTION_TRACE:
                options->trace = true;
                return 0;
        case OPTION_CAPABILITIES:
                puts("{ \"type\": \"block\", \"features\": [ \"read-only\", \"blk-file\" ] }");
                exit(EXIT_SUCCESS);
        case OPTION_HELP:
                usage();
                exit(EXIT_SUCCESS);
        case '?':
                return -EINVAL;
        default:
                return option_number(options, option);
        }
}

static int options_read(int argc, char **argv, BackendOptions *options)
{
        int option;

        while ((option = getopt_long(argc, argv, "", options_known, NULL)) != -1) {
                if (option_apply(options, option) < 0) {
                        fprintf(stderr, "%s: wrong: %s; see --help\n", argv[0], argv[optind - 1]);
                        return -EINVAL;
                }
        }
        if (optind < argc || !options->socket_path == (options->fd < 0) ||
            (options->ops->needs_path && !options->personality.path)) {
                fprintf(stderr,
                        "%s: one of --socket-path and --fd, and for a block device"
                        " --blk-file; see --help\n",
                        argv[0]);
                return -EINVAL;
        }
        return 0;
}

/* A socket that was handed over may be connected already. Returns the listener, -1, or an errno. */
static int listener_open(Backend *backend, const BackendOptions *options, int *ret_listener)
{
        int listens = 0;
        socklen_t size = sizeof(listens);

        if (options->socket_path) {
                *ret_listener = socket_listen(options->socket_path);
                return *ret_listener < 0 ? *ret_listener : 0;
        }
        if (getsockopt(options->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0)
                return -errno;
        if (listens)
                *ret_listener = options->fd;
        else
                backend_connect(backend, options->fd);
        return 0;
}

int main(int argc, char **argv)
{
        static Backend backend; /* large */
        BackendOptions options = {
                .fd = -1,
                .ops = &block_ops,
                .features = UINT64_MAX,
                /* Of the two layouts of a memory region one has to be chosen. */
                .protocol_features = ~BIT(WIRE_PROTOCOL_XEN_MMAP),
        };
        _cleanup_fd_ int listener = -1;
        sigset_t while_waiting;
        int r;

        if (options_read(argc, argv, &options) < 0)
                return EXIT_FAILURE;
        r = backend_open(&backend, &options);
        if (r == 0)
                r = listener_open(&backend, &options, &listener);
        if (r < 0) {
                fprintf(stderr, "%s: cannot start: %s\n", argv[0], strerror(-r));
                return EXIT_FAILURE;
        }
        signals_set(&while_waiting);
        loop_run(&backend, listener, &while_waiting);
        if (options.socket_path)
                unlink(options.socket_path);
        backend_close(&backend);
        return backend.illegal ? EXIT_ILLEGAL : EXIT_SUCCESS;
}
