/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Another implementation of claim.h, with Xen's rules for IOREQ servers: they are a domain's, at
 * most eight, and outlive the process that made them. A domain is a folder below
 * XEN_VIRTIO_SIM_XEN, a server a file in it with a line for each range: its base, and the time.
 */

#include "orchestrator/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/clock.h"

#define SERVERS_MAX 8

struct Claims {
        char *folder;
};

int claims_open(Claims **ret_claims)
{
        const char *folder = g_getenv("XEN_VIRTIO_SIM_XEN");

        if (!folder)
                return -ENODEV;
        *ret_claims = g_new0(Claims, 1);
        (*ret_claims)->folder = g_strdup(folder);
        return 0;
}

Claims *claims_close(Claims *claims)
{
        if (!claims)
                return NULL;
        g_free(claims->folder);
        g_free(claims);
        return NULL;
}

int claims_probe(Claims *claims G_GNUC_UNUSED)
{
        return 0;
}

static char *server_path(const Claims *claims, uint16_t domid, uint16_t server)
{
        return g_strdup_printf("%s/%" PRIu16 "/%" PRIu16, claims->folder, domid, server);
}

int claims_take(Claims *claims, uint16_t domid, uint64_t base, uint16_t *ret_server)
{
        for (uint16_t server = 0; server < SERVERS_MAX; server++) {
                g_autofree char *path = server_path(claims, domid, server);
                _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

                if (fd < 0 && errno == EEXIST)
                        continue;
                if (fd < 0)
                        return errno == ENOENT ? -ESRCH : -errno;
                dprintf(fd, "%#" PRIx64 " %" PRIu64 "\n", base, clock_now_usec());
                *ret_server = server;
                return 0;
        }
        return -EUSERS;
}

int claims_join(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        g_autofree char *path = server_path(claims, domid, server);
        g_autofree char *range = g_strdup_printf("%#" PRIx64 " ", base), *text = NULL;
        _cleanup_fd_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

        if (fd < 0 || !g_file_get_contents(path, &text, NULL, NULL))
                return -ENOENT;
        if (!strstr(text, range))
                dprintf(fd, "%s%" PRIu64 "\n", range, clock_now_usec());
        return 0;
}

int claims_leave(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        g_autofree char *path = server_path(claims, domid, server);
        g_autofree char *range = g_strdup_printf("%#" PRIx64 " ", base), *text = NULL;
        g_auto(GStrv) lines = NULL;
        _cleanup_fd_ int fd = -1;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return 0;
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        lines = g_strsplit(text, "\n", -1);
        for (unsigned int i = 0; lines[i]; i++) {
                if (lines[i][0] != '\0' && !g_str_has_prefix(lines[i], range))
                        dprintf(fd, "%s\n", lines[i]);
        }
        return 0;
}

void claims_drop(Claims *claims, uint16_t domid, uint64_t base, uint32_t known)
{
        g_autofree char *range = g_strdup_printf("%#" PRIx64 " ", base);

        for (uint16_t server = 0; server < SERVERS_MAX; server++) {
                g_autofree char *path = server_path(claims, domid, server), *text = NULL;

                if (!g_file_get_contents(path, &text, NULL, NULL) || !strstr(text, range))
                        continue;
                claims_leave(claims, domid, server, base);
                if (!(known >> server & 1))
                        claims_release(claims, domid, server);
        }
}

int claims_release(Claims *claims, uint16_t domid, uint16_t server)
{
        g_autofree char *path = server_path(claims, domid, server);

        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
