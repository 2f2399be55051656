/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/diagnosis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/macros.h"

#define PAGE_KIB          4
#define BYTES_PER_MAPPING (8 + 8)
#define BYTES_PER_PAGE    64

/* A share of this domain's memory beyond which mappings are worth a word: 1 / this. */
#define COST_SHARE 4

/* The first kernel whose irqfd is known to be good, as frontends see it. */
#define IRQFD_MAJOR 6
#define IRQFD_MINOR 12

#define SYSTEMD_MIN 252

const char *finding_level_name(FindingLevel level)
{
        static const char *const names[] = {
                [FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_ERROR] = "error"
        };

        return names[level];
}

static void finding_clear(void *finding)
{
        g_free(((Finding *)finding)->text);
}

static void find(GArray *findings, FindingLevel level, const char *subject, const char *advice,
                 const char *format, ...) _printf_(5, 6);
static void find(GArray *findings, FindingLevel level, const char *subject, const char *advice,
                 const char *format, ...)
{
        Finding finding = { .level = level, .subject = subject, .advice = advice };
        va_list args;

        va_start(args, format);
        finding.text = g_strdup_vprintf(format, args);
        va_end(args);
        g_array_append_val(findings, finding);
}

static void examine_xen(GArray *findings, const HostFacts *facts)
{
        if (g_strcmp0(facts->hypervisor, "xen") != 0) {
                find(findings, FINDING_ERROR, "Xen", "boot this system on Xen",
                     "this system does not run on Xen");
                return;
        }
        find(findings, FINDING_OK, "Xen", NULL, "version %s",
             facts->xen_version ? facts->xen_version : "unknown");
        if (!facts->capabilities)
                find(findings, FINDING_WARNING, "domain",
                     "mount -t xenfs xenfs /proc/xen (Xen's own start script does)",
                     "not known whether this is the control domain");
        else if (strstr(facts->capabilities, "control_d"))
                find(findings, FINDING_OK, "domain", NULL, "the control domain (dom0)");
        else
                find(findings, FINDING_OK, "domain", NULL,
                     "a driver domain, if guests name it as their backend");
}

static void examine_devices(GArray *findings, const HostFacts *facts)
{
        const struct {
                const char *name;
                bool exists;
                FindingLevel level; /* if it is not there */
                const char *advice;
        } devices[] = {
                { "privcmd", facts->has_privcmd, FINDING_ERROR, "modprobe xen-privcmd" },
                { "evtchn", facts->has_evtchn, FINDING_ERROR, "modprobe xen-evtchn" },
                { "xenbus", facts->has_xenbus, FINDING_ERROR, "is xenstored running?" },
                { "gntdev", facts->has_gntdev, FINDING_WARNING,
                  "modprobe xen-gntdev; devices with grant_usage=1 need it" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
                if (!devices[i].exists)
                        find(findings, devices[i].level, "devices", devices[i].advice,
                             "there is no /dev/xen/%s", devices[i].name);
        }
}

static bool is_driver_domain(const HostFacts *facts)
{
        return facts->capabilities && !strstr(facts->capabilities, "control_d");
}

static void examine_ioreq(GArray *findings, const HostFacts *facts)
{
        const int r = facts->ioreq_servers;

        if (r == 0)
                find(findings, FINDING_OK, "IOREQ servers", NULL, "Xen has them");
        else if (r == -ENOSYS || r == -EOPNOTSUPP)
                find(findings, FINDING_ERROR, "IOREQ servers",
                     "build Xen with CONFIG_EXPERT=y and CONFIG_IOREQ_SERVER=y",
                     "Xen was built without them");
        else if (r == -EPERM && is_driver_domain(facts) && !facts->privcmd_is_free)
                find(findings, FINDING_ERROR, "IOREQ servers",
                     "boot this domain's Linux with xen_privcmd.unrestricted=1, and without lockdown",
                     "the kernel keeps this driver domain's processes from other domains");
        else if (r == -EPERM && is_driver_domain(facts))
                find(findings, FINDING_ERROR, "IOREQ servers",
                     "give it the right with Xen's policy (XSM, Flask), or serve devices from dom0",
                     "Xen does not let this driver domain have any");
        else if (r == -EPERM)
                find(findings, FINDING_ERROR, "IOREQ servers", "run this as root",
                     "this process may not have any");
        else
                find(findings, FINDING_ERROR, "IOREQ servers", "run this as root, on Xen",
                     "cannot ask Xen: %s", strerror(-r));
}

static bool release_has_irqfd(const char *release)
{
        unsigned int major, minor;

        return release && sscanf(release, "%4u.%4u", &major, &minor) == 2 &&
               (major > IRQFD_MAJOR || (major == IRQFD_MAJOR && minor >= IRQFD_MINOR));
}

static void examine_kernel(GArray *findings, const HostFacts *facts)
{
        const char *release = facts->kernel_release;

        find(findings, FINDING_OK, "kernel", NULL, "Linux %s", release);
        if (!facts->config) {
                find(findings, FINDING_WARNING, "kernel",
                     "install its configuration there, or build it with CONFIG_IKCONFIG_PROC=y",
                     "how it was built is not known: there is neither /proc/config.gz nor "
                     "/boot/config-%s",
                     release);
                return;
        }
        if (!host_facts_has_option(facts, "XEN_PRIVCMD_EVENTFD"))
                find(findings, FINDING_OK, "interrupts",
                     "a kernel from 6.12 on with CONFIG_XEN_PRIVCMD_EVENTFD=y is faster",
                     "relayed by the frontends: the kernel has neither irqfd nor ioeventfd");
        else if (!release_has_irqfd(release))
                find(findings, FINDING_OK, "interrupts", "a kernel from 6.12 on is faster",
                     "relayed by the frontends: this kernel's irqfd is not safe");
        else
                find(findings, FINDING_OK, "interrupts", NULL,
                     "by the kernel (irqfd); kicks are relayed, ioeventfd is there but not safe");
}

uint64_t diagnosis_mapping_cost_kib(uint64_t mapped_kib, bool unpopulated)
{
        const uint64_t n_pages = mapped_kib / PAGE_KIB;
        const uint64_t per_page =
                BYTES_PER_MAPPING + (unpopulated ? BYTES_PER_PAGE : PAGE_KIB * 1024);

        /* No guest has so many pages; a report may. */
        return n_pages > UINT64_MAX / per_page ? UINT64_MAX / 1024 : n_pages * per_page / 1024;
}

/* What all backends may map, a guest once for each. */
static uint64_t mapped_kib(const DeviceReport *reports, size_t n_reports)
{
        uint64_t mapped = 0;

        for (size_t i = 0; i < n_reports; i++)
                mapped += reports[i].memory_kib;
        return mapped;
}

static void examine_memory(GArray *findings, const HostFacts *facts, const DeviceReport *reports,
                           size_t n_reports)
{
        const bool unpopulated =
                host_facts_has_option(facts, "XEN_UNPOPULATED_ALLOC") || facts->hotplug_unpopulated;
        const uint64_t mapped = mapped_kib(reports, n_reports);
        uint64_t cost = 0;

        if (facts->config && !unpopulated)
                find(findings, FINDING_WARNING, "memory",
                     "a kernel with CONFIG_XEN_UNPOPULATED_ALLOC=y, or sysctl "
                     "xen.balloon.hotplug_unpopulated=1",
                     "what a backend maps of a guest is taken from this domain's memory");
        else if (facts->config)
                find(findings, FINDING_OK, "memory", NULL,
                     "what backends map of guests takes no memory of this domain's but for "
                     "page tables");
        for (size_t i = 0; i < n_reports; i++)
                cost += diagnosis_mapping_cost_kib(reports[i].memory_kib,
                                                   unpopulated || !facts->config);
        if (mapped > 0)
                find(findings, cost > facts->memory_kib / COST_SHARE ? FINDING_WARNING : FINDING_OK,
                     "memory",
                     cost > facts->memory_kib / COST_SHARE
                             ? "give this domain more memory, or guests fewer devices"
                             : NULL,
                     "backends map %" PRIu64 " MiB of guests, which takes %" PRIu64
                     " of this domain's %" PRIu64 " MiB",
                     mapped / 1024, cost / 1024, facts->memory_kib / 1024);
}

/* All backends of all guests share it; none of them is told before it maps. */
static void examine_scratch(GArray *findings, const HostFacts *facts, const DeviceReport *reports,
                            size_t n_reports)
{
        const uint64_t mapped = mapped_kib(reports, n_reports);

        if (facts->scratch_kib == 0)
                return;
        if (mapped > facts->scratch_kib)
                find(findings, FINDING_WARNING, "memory",
                     "smaller guests, fewer devices, more memory that is nobody's behind this domain's, "
                     "or grant_usage=1",
                     "backends map %" PRIu64
                     " MiB of guests, but the kernel has addresses for %" PRIu64
                     " MiB: devices whose driver comes up too late do not work",
                     mapped / 1024, facts->scratch_kib / 1024);
        else
                find(findings, FINDING_OK, "memory", NULL,
                     "the kernel has addresses for %" PRIu64 " MiB of guests, each backend counted",
                     facts->scratch_kib / 1024);
}

static void examine_software(GArray *findings, const HostFacts *facts)
{
        int version = 0;

        if (!facts->systemd_version)
                find(findings, FINDING_WARNING, "systemd", "run this as root",
                     "it does not answer");
        else if (sscanf(facts->systemd_version, "%9d", &version) == 1 && version < SYSTEMD_MIN)
                find(findings, FINDING_ERROR, "systemd", "version 252 or later is needed",
                     "version %s", facts->systemd_version);
        else
                find(findings, FINDING_OK, "systemd", NULL, "version %s", facts->systemd_version);
        if (facts->libraries)
                find(findings, FINDING_OK, "libraries", NULL, "%s", facts->libraries);
}

static void examine_daemon(GArray *findings, const HostFacts *facts, const DeviceReport *reports,
                           size_t n_reports)
{
        size_t n_problems = 0;

        if (!facts->daemon_version) {
                find(findings, FINDING_ERROR, "xen-virtiod",
                     "systemctl status xen-virtiod; only root may ask it", "does not answer");
                return;
        }
        for (size_t i = 0; i < n_reports; i++)
                n_problems += reports[i].problem && *reports[i].problem != '\0';
        if (n_problems > 0)
                find(findings, FINDING_WARNING, "xen-virtiod", "xen-virtioctl list says which",
                     "version %s, %zu of %zu devices with a problem", facts->daemon_version,
                     n_problems, n_reports);
        else
                find(findings, FINDING_OK, "xen-virtiod", NULL, "version %s, %zu devices",
                     facts->daemon_version, n_reports);
}

GArray *diagnosis_make(const HostFacts *facts, const DeviceReport *reports, size_t n_reports)
{
        GArray *findings = g_array_new(FALSE, FALSE, sizeof(Finding));

        g_array_set_clear_func(findings, finding_clear);
        examine_xen(findings, facts);
        examine_devices(findings, facts);
        examine_ioreq(findings, facts);
        examine_kernel(findings, facts);
        examine_memory(findings, facts, reports, n_reports);
        examine_scratch(findings, facts, reports, n_reports);
        examine_software(findings, facts);
        examine_daemon(findings, facts, reports, n_reports);
        return findings;
}
