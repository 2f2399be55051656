/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend/isolate.h"

/* Runs attempt() in an isolated process. Returns how that ended, as waitpid() says it. */
static int run(int (*attempt)(void), bool maps_memory)
{
        pid_t pid = fork();
        int status;

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                _exit(isolate_syscalls(maps_memory) < 0 ? 99 : attempt());
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        return status;
}

static int isolated_run(int (*attempt)(void))
{
        return run(attempt, /* maps_memory= */ false);
}

static int nothing(void)
{
        return 0;
}

static int file_open(void)
{
        return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0;
}

static int process_name_set(void)
{
        return prctl(PR_SET_NAME, "another") < 0;
}

/* frontend/loop.h does without. */
static int timer_make(void)
{
        return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC) < 0;
}

/* sd_journal_sendv(), when a message does not go out. */
static int journal_fall_back(void)
{
        char name[16];

        if (prctl(PR_GET_NAME, name) < 0)
                return 1;
        return memfd_create(name, MFD_CLOEXEC) >= 0 || errno != EPERM;
}

/* frontend/vhost-peer.h, for each connection. */
static int process_watch(void)
{
        return pidfd_open(getpid(), 0) < 0;
}

/* IOCTL_PRIVCMD_MMAPBATCH_V2 of privcmd, on what is none. */
static int memory_map(void)
{
        return ioctl(STDERR_FILENO, 0x00205004, NULL) >= 0 || errno == EPERM;
}

/* A frontend that serves a network card's control queue, and no other one. */
static void test_memory(void)
{
        const int status = isolated_run(memory_map);

        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        g_assert_cmpint(run(memory_map, /* maps_memory= */ true), ==, 0);
}

static void test_kills(void)
{
        int (*const attempts[])(void) = { file_open, process_name_set, timer_make };

        g_assert_cmpint(isolated_run(nothing), ==, 0);
        g_assert_cmpint(isolated_run(process_watch), ==, 0);
        for (unsigned int i = 0; i < G_N_ELEMENTS(attempts); i++) {
                const int status = isolated_run(attempts[i]);

                g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        }
}

static void test_journal_under_memory_pressure(void)
{
        g_assert_cmpint(isolated_run(journal_fall_back), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/isolate-syscalls/kills", test_kills);
        g_test_add_func("/isolate-syscalls/memory", test_memory);
        g_test_add_func("/isolate-syscalls/journal-under-memory-pressure",
                        test_journal_under_memory_pressure);
        return g_test_run();
}
