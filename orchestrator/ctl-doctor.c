/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "common/macros.h"
#include "orchestrator/claim.h"
#include "orchestrator/ctl-bus.h"
#include "orchestrator/ctl-json.h"
#include "orchestrator/diagnosis.h"
#include "orchestrator/table.h"

/* Adds the library to a list if it is one that counts. Its file's full name has the version. */
static int library_add(struct dl_phdr_info *info, size_t size _unused_, void *userdata)
{
        static const char *const prefixes[] = { "libglib-2.0.", "libsystemd.", "libxendevicemodel.",
                                                "libxenforeignmemory." };
        g_autofree char *base = g_path_get_basename(info->dlpi_name);
        g_autofree char *full = NULL, *name = NULL;
        GString *list = userdata;
        char *path;

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
                if (!g_str_has_prefix(base, prefixes[i]))
                        continue;
                path = realpath(info->dlpi_name, NULL);
                name = g_path_get_basename(path ? path : info->dlpi_name);
                free(path);
                g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", name);
        }
        return 0;
}

static char *libraries_find(void)
{
        GString *list = g_string_new(NULL);

        dl_iterate_phdr(library_add, list);
        return g_string_free(list, list->len == 0);
}

static int ioreq_probe(void)
{
        Claims *claims;
        int r;

        r = claims_open(&claims);
        if (r < 0)
                return r;
        r = claims_probe(claims);
        claims_close(claims);
        return r;
}

/* Asks the daemon for its version and its devices. It need not run, so nothing is said. */
static void daemon_ask(const Ctl *ctl, HostFacts *facts, CtlDevices *devices)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;

        if (ctl_connect(ctl, &bus) != CTL_OK)
                return;
        facts->daemon_version = ctl_daemon_version(bus);
        if (facts->daemon_version)
                ctl_devices_get(ctl, devices);
}

static void print_json(const GArray *findings)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_array(builder);
        for (guint i = 0; i < findings->len; i++) {
                const Finding *finding = &g_array_index(findings, Finding, i);

                json_builder_begin_object(builder);
                json_add_text(builder, "level", finding_level_name(finding->level));
                json_add_text(builder, "subject", finding->subject);
                json_add_text(builder, "text", finding->text);
                json_add_text(builder, "advice", finding->advice);
                json_builder_end_object(builder);
        }
        json_builder_end_array(builder);
        json_print(builder, true);
}

static void print_text(const GArray *findings, bool color)
{
        static const Tone tones[] = { [FINDING_OK] = TONE_GOOD,
                                      [FINDING_WARNING] = TONE_WARNING,
                                      [FINDING_ERROR] = TONE_BAD };

        for (guint i = 0; i < findings->len; i++) {
                const Finding *finding = &g_array_index(findings, Finding, i);
                g_autofree char *level =
                        g_strdup_printf("%-8s", finding_level_name(finding->level));
                g_autofree char *shown = tone_text(level, tones[finding->level], color);
                g_autofree char *text = text_printable(finding->text);

                printf("%s %s: %s\n", shown, finding->subject, text);
                if (finding->advice)
                        printf("%8s -> %s\n", "", finding->advice);
        }
}

int ctl_doctor(const Ctl *ctl)
{
        _cleanup_(ctl_devices_clear) CtlDevices devices = { 0 };
        _cleanup_(host_facts_clear) HostFacts facts = { 0 };
        _cleanup_fd_ int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_autoptr(GArray) findings = NULL;
        struct utsname name = { .release = "?" };
        FindingLevel worst = FINDING_OK;

        uname(&name);
        facts.kernel_release = g_strdup(name.release);
        facts.libraries = libraries_find();
        facts.systemd_version = ctl_systemd_version();
        host_facts_read(root, &facts);
        facts.ioreq_servers = facts.has_privcmd ? ioreq_probe() : -ENOENT;
        daemon_ask(ctl, &facts, &devices);

        findings = diagnosis_make(
                &facts,
                devices.reports ? (const DeviceReport *)(void *)devices.reports->data : NULL,
                devices.reports ? devices.reports->len : 0);
        for (guint i = 0; i < findings->len; i++)
                worst = MAX(worst, g_array_index(findings, Finding, i).level);
        if (ctl->json)
                print_json(findings);
        else
                print_text(findings, ctl->color);
        return worst == FINDING_ERROR ? CTL_FAILED : CTL_OK;
}
