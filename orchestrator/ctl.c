/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xen-virtioctl: shows what xen-virtiod serves. See xen-virtioctl(1). */

#include "orchestrator/ctl.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/control.h"
#include "orchestrator/paths.h"

/* The options that only some commands take. */
enum {
        OPTION_JSON = 1 << 0,
        OPTION_PART = 1 << 1, /* --backend, --frontend */
        OPTION_ROOT = 1 << 2,
};

static const struct {
        const char *name;
        const char *argument; /* in brackets if it may be left out; NULL: there is none */
        unsigned int options;
        const char *help;
        int (*run)(const Ctl *ctl);
} commands[] = {
        { "list", NULL, OPTION_JSON, "The devices, and what is wrong with them", ctl_list },
        { "show", "DEVICE", OPTION_JSON, "All of one device", ctl_show },
        { "events", NULL, OPTION_JSON, "What happens to devices, until Ctrl-C", ctl_events },
        { "restart", "DEVICE", OPTION_PART, "Start a device's backend and frontend anew",
          ctl_restart },
        { "doctor", NULL, OPTION_JSON, "What this host can do, and what is wrong with it",
          ctl_doctor },
        { "metrics", NULL, 0, "Counters, in the text format of Prometheus", ctl_metrics },
        { "check", "[GUEST|FILE]", OPTION_ROOT,
          "What the configuration would run, and its mistakes", ctl_check },
};

static char *commands_help(void)
{
        GString *text = g_string_new("Commands:\n");

        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                const char *argument = commands[i].argument;
                g_autofree char *usage = g_strjoin(" ", commands[i].name, argument, NULL);

                g_string_append_printf(text, "  %-18s %s\n", usage, commands[i].help);
        }
        g_string_append(text, "\nDEVICE is a name as list shows it, for example 5-disk-51712.");
        return g_string_free(text, FALSE);
}

/* As no-color.org has it: the variable counts if there is anything in it. */
static bool output_has_colors(void)
{
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

        return isatty(STDOUT_FILENO) && (!no_color || *no_color == '\0') &&
               g_strcmp0(term, "dumb") != 0;
}

static int wrong_usage(const char *problem)
{
        fprintf(stderr, "xen-virtioctl: %s, see xen-virtioctl --help\n", problem);
        return CTL_WRONG_USAGE;
}

/* Whether a command takes an argument that is there, or goes without one that is not. */
static bool takes(const char *argument, bool is_there)
{
        return is_there ? argument != NULL : !argument || *argument == '[';
}

static int command_run(Ctl *ctl, int argc, char **argv)
{
        const unsigned int given = (ctl->json ? OPTION_JSON : 0) |
                                   (ctl->backend || ctl->frontend ? OPTION_PART : 0) |
                                   (ctl->root ? OPTION_ROOT : 0);
        size_t i = 0;

        if (argc < 2)
                return wrong_usage("a command is wanted");
        while (i < G_N_ELEMENTS(commands) && strcmp(commands[i].name, argv[1]) != 0)
                i++;
        if (i == G_N_ELEMENTS(commands))
                return wrong_usage("there is no such command");
        if (argc > 3 || !takes(commands[i].argument, argc > 2))
                return wrong_usage(commands[i].argument ? "the command takes one argument"
                                                        : "the command takes no arguments");
        if (given & ~commands[i].options)
                return wrong_usage("the option does not go with the command");
        ctl->argument = argc > 2 ? argv[2] : NULL;
        return commands[i].run(ctl);
}

int main(int argc, char **argv)
{
        g_autoptr(GOptionContext) context = g_option_context_new("COMMAND");
        g_autofree char *help = commands_help(), *run_directory = NULL, *root = NULL;
        gboolean json = FALSE, version = FALSE, backend = FALSE, frontend = FALSE;
        g_autoptr(GError) error = NULL;
        const GOptionEntry entries[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Output for programs", NULL },
                { "backend", 0, 0, G_OPTION_ARG_NONE, &backend, "Restart only this", NULL },
                { "frontend", 0, 0, G_OPTION_ARG_NONE, &frontend, "Restart only this", NULL },
                { "run-directory", 0, 0, G_OPTION_ARG_FILENAME, &run_directory,
                  "Where xen-virtiod's socket is (default: " CONTROL_DIRECTORY ")", "DIR" },
                { "root", 0, 0, G_OPTION_ARG_FILENAME, &root, "Check: where the configuration lies",
                  "DIR" },
                { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Show the version and exit", NULL },
                G_OPTION_ENTRY_NULL,
        };
        Ctl ctl = { .color = output_has_colors() };

        g_option_context_set_summary(context, "Shows the virtio devices that xen-virtiod serves.");
        g_option_context_set_description(context, help);
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                return wrong_usage(error->message);
        if (version) {
                puts("xen-virtioctl " VERSION);
                return CTL_OK;
        }
        ctl.run_directory = run_directory ? run_directory : CONTROL_DIRECTORY;
        ctl.json = json;
        ctl.backend = backend;
        ctl.frontend = frontend;
        ctl.root = root;
        return command_run(&ctl, argc, argv);
}
