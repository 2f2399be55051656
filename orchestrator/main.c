/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>

#include "common/log.h"
#include "orchestrator/manager.h"
#include "orchestrator/paths.h"

/* Returns 1 to go on, 0 if all is said, or a negative value for wrong arguments. */
static int options_parse(int argc, char **argv)
{
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;
        gboolean version = FALSE;
        const GOptionEntry entries[] = {
                { "version", 0, G_OPTION_FLAG_NONE, G_OPTION_ARG_NONE, &version,
                  "Show the version and exit", NULL },
                G_OPTION_ENTRY_NULL,
        };

        g_option_context_set_summary(
                context, "Serves the virtio devices that Xen's toolstack asks for in xenstore.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                fprintf(stderr, "%s\n", error->message);
                return -1;
        }
        if (argc > 1) {
                fprintf(stderr, "%s: takes no such argument\n", argv[1]);
                return -1;
        }
        if (version)
                puts("xen-virtiod " VERSION);
        return !version;
}

/* SIGTERM and SIGINT just end the loop: the devices go on. */
static int loop_prepare(sd_event *event)
{
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGHUP);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        /* A peer that has gone shows as an error of the write. */
        signal(SIGPIPE, SIG_IGN);
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        return r < 0 ? r : 0;
}

static int on_reload(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *userdata)
{
        manager_reload(userdata);
        return 0;
}

/* Who ends the loop has said why, if it is not just over. */
static int events_handle(sd_event *event, Manager *manager)
{
        int r, code;

        r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, manager);
        if (r >= 0)
                r = sd_event_loop(event);
        if (r < 0 && sd_event_get_exit_code(event, &code) < 0)
                log_error_errno(NULL, r, "cannot wait for events: %m");
        return r;
}

static int run(void)
{
        sd_event *event = NULL;
        Manager *manager = NULL;
        int r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = loop_prepare(event);
        if (r < 0)
                log_error_errno(NULL, r, "cannot make an event loop: %m");
        if (r >= 0)
                r = manager_new(event, &manager);
        if (r >= 0)
                r = events_handle(event, manager);
        manager_free(manager);
        sd_event_unref(event);
        return r;
}

int main(int argc, char **argv)
{
        int r;

        r = options_parse(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        log_setup();
        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
