/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/vhost-peer.h, with children of this process in the place of backends. */

#include "frontend/vhost-peer.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

typedef struct Fixture {
        Loop *loop;
        VhostHolder holder;
        int32_t pid;
        unsigned int n_gone;
} Fixture;

static void gone(void *userdata)
{
        Fixture *fixture = userdata;

        g_assert_cmpint(fixture->pid, ==, 0);
        fixture->n_gone++;
}

/* As a frontend finds it that starts. */
static void adopt(Fixture *fixture, int32_t pid)
{
        fixture->pid = pid;
        fixture->holder = (VhostHolder){
                .loop = fixture->loop,
                .pid = &fixture->pid,
                .gone = gone,
                .userdata = fixture,
        };
        vhost_holder_adopt(&fixture->holder);
}

static void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        g_assert_cmpint(loop_new(&fixture->loop), ==, 0);
        adopt(fixture, 0);
        g_assert_cmpint(fixture->pid, ==, 0);
}

static void fixture_clear(Fixture *fixture, gconstpointer data _unused_)
{
        vhost_holder_clear(&fixture->holder);
        loop_free(fixture->loop);
}

static void run(Fixture *fixture)
{
        while (loop_turn(fixture->loop, false) > 0)
                ;
}

/* A socket on which a child listens. It lives on, or is gone when this returns. */
static int child_listen(bool lives, pid_t *ret_pid)
{
        /* The kernel chooses a name. */
        const struct sockaddr_un address = { .sun_family = AF_UNIX };
        const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int pipes[2];
        char byte;

        g_assert_cmpint(bind(listener, (const struct sockaddr *)&address, sizeof(sa_family_t)), ==,
                        0);
        g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
        *ret_pid = fork();
        g_assert_cmpint(*ret_pid, >=, 0);
        if (*ret_pid == 0) {
                if (listen(listener, 1) < 0 || write(pipes[1], "", 1) != 1)
                        _exit(1);
                while (lives)
                        pause();
                _exit(0);
        }
        g_assert_cmpint(read(pipes[0], &byte, 1), ==, 1);
        if (!lives)
                g_assert_cmpint(waitpid(*ret_pid, NULL, 0), ==, *ret_pid);
        close(pipes[0]);
        close(pipes[1]);
        return listener;
}

static VhostPeer peer_connect(int listener)
{
        struct sockaddr_un address;
        socklen_t size = sizeof(address);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        VhostPeer peer;

        g_assert_cmpint(getsockname(listener, (struct sockaddr *)&address, &size), ==, 0);
        g_assert_cmpint(connect(fd, (struct sockaddr *)&address, size), ==, 0);
        peer = vhost_peer_of(fd);
        close(fd);
        return peer;
}

static void child_end(pid_t pid)
{
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* The connection and the socket are gone before the process is. */
static void test_gone(Fixture *fixture, gconstpointer data _unused_)
{
        pid_t pid;
        int listener = child_listen(true, &pid);
        VhostPeer peer = peer_connect(listener), self = { .pid = getpid(), .pidfd = -1 };

        fd_closep(&listener);
        g_assert_cmpint(peer.pid, ==, pid);
        g_assert_cmpint(peer.pidfd, >=, 0);
        g_assert_true(vhost_holder_admits(&fixture->holder, &peer));
        vhost_holder_set(&fixture->holder, &peer);
        g_assert_cmpint(peer.pidfd, ==, -1);
        g_assert_cmpint(fixture->pid, ==, pid);
        g_assert_true(vhost_holder_admits(&fixture->holder, &peer));
        g_assert_false(vhost_holder_admits(&fixture->holder, &self));
        self.pid = VHOST_PEER_UNKNOWN;
        g_assert_false(vhost_holder_admits(&fixture->holder, &self));
        run(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 0);

        child_end(pid);
        run(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
        g_assert_cmpint(fixture->pid, ==, 0);
        g_assert_true(vhost_holder_admits(&fixture->holder, &self));
}

static void test_released(Fixture *fixture, gconstpointer data _unused_)
{
        pid_t pid;
        int listener = child_listen(true, &pid);
        VhostPeer peer = peer_connect(listener);

        vhost_holder_set(&fixture->holder, &peer);
        vhost_holder_release(&fixture->holder);
        g_assert_cmpint(fixture->pid, ==, 0);
        child_end(pid);
        run(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        fd_closep(&listener);
}

/* Who has listened is gone, and the socket is not. */
static void test_unknown(Fixture *fixture, gconstpointer data _unused_)
{
        pid_t pid;
        int listener = child_listen(false, &pid);
        VhostPeer peer = peer_connect(listener), self = { .pid = getpid(), .pidfd = -1 };

        g_assert_cmpint(peer.pid, ==, VHOST_PEER_UNKNOWN);
        g_assert_cmpint(peer.pidfd, ==, -1);
        vhost_holder_set(&fixture->holder, &peer);
        g_assert_cmpint(fixture->pid, ==, VHOST_PEER_UNKNOWN);
        g_assert_true(vhost_holder_admits(&fixture->holder, &self));
        run(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        fd_closep(&listener);
}

static void test_adopted(Fixture *fixture, gconstpointer data _unused_)
{
        pid_t pid;
        int listener = child_listen(true, &pid);

        adopt(fixture, VHOST_PEER_UNKNOWN);
        g_assert_cmpint(fixture->pid, ==, VHOST_PEER_UNKNOWN);
        adopt(fixture, pid);
        g_assert_cmpint(fixture->pid, ==, pid);
        vhost_holder_clear(&fixture->holder);
        g_assert_cmpint(fixture->pid, ==, pid);

        adopt(fixture, pid);
        child_end(pid);
        run(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
        g_assert_cmpint(fixture->pid, ==, 0);

        /* It is gone already. */
        adopt(fixture, pid);
        g_assert_cmpint(fixture->pid, ==, 0);
        fd_closep(&listener);
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, fixture_clear)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/vhost-peer/gone", test_gone);
        add("/vhost-peer/released", test_released);
        add("/vhost-peer/unknown", test_unknown);
        add("/vhost-peer/adopted", test_adopted);
        return g_test_run();
}
