/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/control-intake.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/log.h"

#define PIECE 4096U

struct Intake {
        sd_event_source *source;
        int bus; /* our end of a pair; sd-bus has the other one */
        uint64_t left;
};

/* The other side still gets what is on its way. */
static void intake_end(Intake *intake)
{
        intake->source = sd_event_source_disable_unref(intake->source);
        fd_closep(&intake->bus);
}

static int intake_on_io(sd_event_source *source _unused_, int client, uint32_t events _unused_,
                        void *userdata)
{
        Intake *intake = userdata;
        char piece[PIECE];
        ssize_t n;

        n = recv(client, piece, MIN(intake->left, PIECE), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                intake_end(intake);
                return 0;
        }
        intake->left -= (uint64_t)n;
        /* There is room for all that waits for an answer of somebody who reads any. */
        if (send(intake->bus, piece, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n ||
            intake->left == 0) {
                log_warning(NULL, "a client of the control socket sends too much, hanging up");
                intake_end(intake);
        }
        return 0;
}

int intake_new(sd_event *event, int client, uint64_t limit, int64_t priority, Intake **ret_intake,
               int *ret_fd)
{
        /* A number of our own: epoll takes each once, and sd-bus waits until it can write there. */
        _cleanup_fd_ int own = fcntl(client, F_DUPFD_CLOEXEC, 0);
        Intake *intake;
        int pair[2], r;

        if (own < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        intake = g_new0(Intake, 1);
        intake->bus = pair[0];
        intake->left = limit;
        r = sd_event_add_io(event, &intake->source, own, EPOLLIN, intake_on_io, intake);
        if (r >= 0)
                r = sd_event_source_set_priority(intake->source, priority);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(intake->source, true);
        if (r < 0) {
                intake_free(intake);
                close(pair[1]);
                return r;
        }
        steal_fd(&own);
        *ret_intake = intake;
        *ret_fd = pair[1];
        return 0;
}

Intake *intake_free(Intake *intake)
{
        if (!intake)
                return NULL;
        intake_end(intake);
        g_free(intake);
        return NULL;
}
