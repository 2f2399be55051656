/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/host-facts.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/macros.h"
#include "orchestrator/scratch-space.h"

/* More than the configuration of any kernel. */
#define FILE_LIMIT (1024 * 1024)

static GString *read_file(int root, const char *path)
{
        _cleanup_fd_ int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        GString *text;
        char part[4096];
        ssize_t n = -1;

        if (fd < 0)
                return NULL;
        text = g_string_new(NULL);
        while (text->len < FILE_LIMIT && (n = read(fd, part, sizeof(part))) > 0)
                g_string_append_len(text, part, n);
        if (n < 0) {
                g_string_free(text, TRUE);
                return NULL;
        }
        return text;
}

/* The text of a file without the white space at its end; NULL if there is none. */
static char *read_text(int root, const char *path)
{
        GString *text = read_file(root, path);

        return text ? g_strchomp(g_string_free(text, FALSE)) : NULL;
}

static char *read_version(int root)
{
        g_autofree char *major = read_text(root, "sys/hypervisor/version/major");
        g_autofree char *minor = read_text(root, "sys/hypervisor/version/minor");
        g_autofree char *extra = read_text(root, "sys/hypervisor/version/extra");

        if (!major || !minor)
                return NULL;
        return g_strdup_printf("%s.%s%s", major, minor, extra ? extra : "");
}

/* What a kernel that has it built in shows of itself; NULL if it does not, or it makes no sense. */
static char *read_own_config(int root)
{
        _cleanup_fd_ int fd = openat(root, "proc/config.gz", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        g_autoptr(GZlibDecompressor) unpacker =
                g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
        g_autofree char *packed = g_malloc(FILE_LIMIT), *text = g_malloc(FILE_LIMIT + 1);
        gsize n_packed = 0, n_read, n_text = 0;
        GConverterResult result;
        ssize_t n;

        while (fd >= 0 && (n = read(fd, packed + n_packed, FILE_LIMIT - n_packed)) > 0)
                n_packed += (gsize)n;
        if (n_packed == 0)
                return NULL;
        result = g_converter_convert(G_CONVERTER(unpacker), packed, n_packed, text, FILE_LIMIT,
                                     G_CONVERTER_INPUT_AT_END, &n_read, &n_text, NULL);
        if (result != G_CONVERTER_FINISHED)
                return NULL;
        text[n_text] = '\0';
        return g_steal_pointer(&text);
}

/* The kernel that runs knows best; else where distributions put it. */
static char *read_config(int root, const char *release)
{
        g_autofree char *boot = g_strdup_printf("boot/config-%s", release);
        g_autofree char *modules = g_strdup_printf("lib/modules/%s/config", release);
        char *text = read_own_config(root);

        if (!text)
                text = read_text(root, boot);
        return text ? text : read_text(root, modules);
}

static uint64_t read_memory(int root)
{
        g_autofree char *text = read_text(root, "proc/meminfo");
        const char *line = text ? strstr(text, "MemTotal:") : NULL;
        unsigned long long kib = 0;

        return line && sscanf(line, "MemTotal: %15llu kB", &kib) == 1 ? kib : 0;
}

/* Where this domain's memory begins; 0: unknown, as to who is not root /proc/iomem shows no
 * address. */
static uint64_t memory_start(const char *iomem)
{
        for (const char *line = iomem; line; line = strchr(line, '\n')) {
                uint64_t start;
                int length = 0;

                line += *line == '\n';
                if (sscanf(line, "%16" SCNx64 "-%*16x : System RAM%n", &start, &length) == 1 &&
                    length > 0)
                        return start;
        }
        return 0;
}

static uint64_t read_scratch(int root)
{
        g_autofree char *iomem = read_text(root, "proc/iomem");
        GString *regions = read_file(root, "proc/device-tree/hypervisor/reg");
        const uint64_t start = memory_start(iomem);
        uint64_t scratch = 0;

        if (regions && start > 0)
                scratch = scratch_space_kib((const uint8_t *)regions->str, regions->len, start);
        if (regions)
                g_string_free(regions, TRUE);
        return scratch;
}

static bool exists(int root, const char *path)
{
        return faccessat(root, path, F_OK, 0) == 0;
}

/*
 * Linux (6.1.176, 6.12.107 and later) restricts privcmd in a domain other than dom0, unless it was
 * booted otherwise and is not locked down. It does not show the parameter anywhere else.
 */
static bool read_privcmd_is_free(int root)
{
        g_autofree char *line = read_text(root, "proc/cmdline");
        g_autofree char *lockdown = read_text(root, "sys/kernel/security/lockdown");

        return line && strstr(line, "xen_privcmd.unrestricted") &&
               (!lockdown || strstr(lockdown, "[none]"));
}

void host_facts_read(int root, HostFacts *facts)
{
        g_autofree char *hotplug = NULL;

        facts->hypervisor = read_text(root, "sys/hypervisor/type");
        facts->xen_version = read_version(root);
        facts->capabilities = read_text(root, "proc/xen/capabilities");
        facts->config = read_config(root, facts->kernel_release);
        facts->memory_kib = read_memory(root);
        facts->scratch_kib = read_scratch(root);
        facts->privcmd_is_free = read_privcmd_is_free(root);
        hotplug = read_text(root, "proc/sys/xen/balloon/hotplug_unpopulated");
        facts->hotplug_unpopulated = g_strcmp0(hotplug, "1") == 0;
        facts->has_privcmd = exists(root, "dev/xen/privcmd");
        facts->has_evtchn = exists(root, "dev/xen/evtchn");
        facts->has_gntdev = exists(root, "dev/xen/gntdev");
        facts->has_xenbus = exists(root, "dev/xen/xenbus");
}

void host_facts_clear(HostFacts *facts)
{
        g_free(facts->hypervisor);
        g_free(facts->xen_version);
        g_free(facts->capabilities);
        g_free(facts->config);
        g_free(facts->kernel_release);
        g_free(facts->systemd_version);
        g_free(facts->libraries);
        g_free(facts->daemon_version);
        *facts = (HostFacts){ 0 };
}

bool host_facts_has_option(const HostFacts *facts, const char *option)
{
        g_autofree char *line = g_strdup_printf("CONFIG_%s=y", option);
        const size_t length = strlen(line);
        const char *found = facts->config;

        for (; found && (found = strstr(found, line)); found += length) {
                if ((found == facts->config || found[-1] == '\n') &&
                    (found[length] == '\n' || found[length] == '\0'))
                        return true;
        }
        return false;
}
