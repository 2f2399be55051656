/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/descriptor-store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

/* Set by systemd, from version 254 on, where a unit may have its descriptors kept. */
#define ENVIRONMENT "FDSTORE"

static void strv_free(char ***strings)
{
        for (char **string = *strings; string && *string; string++)
                free(*string);
        free(*strings);
}

/* What a descriptor of that name has to look like in /proc. */
static const char *link_of(const char *name)
{
        unsigned int queue;
        char more;

        if (strcmp(name, STORE_CONNECTION) == 0 || strcmp(name, STORE_CHANNEL) == 0)
                return "socket:[";
        if (strcmp(name, STORE_CALL) == 0 ||
            (sscanf(name, STORE_KICK "%2u%c", &queue, &more) == 1 && queue < VIRTIO_QUEUES_MAX &&
             strcmp(name, descriptor_store_kick((uint16_t)queue).text) == 0))
                return "anon_inode:[eventfd]";
        return NULL;
}

static bool is_of_its_kind(int fd, const char *name)
{
        const char *wanted = link_of(name);
        char path[32], found[32];
        ssize_t n;

        if (!wanted)
                return false;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, found, sizeof(found));
        return n >= (ssize_t)strlen(wanted) && memcmp(found, wanted, strlen(wanted)) == 0;
}

static void descriptor_adopt(DescriptorStore *store, const LogContext *context, int fd,
                             const char *name)
{
        StoredDescriptor *found = &store->found[store->n];

        if (store->n == STORE_MAX || !is_of_its_kind(fd, name) ||
            descriptor_store_find(store, name) >= 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
                log_warning(context, "\"%s\" is no descriptor that a frontend leaves", name);
                close(fd);
                return;
        }
        found->fd = fd;
        snprintf(found->name, sizeof(found->name), "%s", name);
        store->n++;
}

int descriptor_store_open(DescriptorStore *store, const LogContext *context)
{
        _cleanup_(strv_free) char **names = NULL;
        const int n = sd_listen_fds_with_names(0, &names);

        *store = (DescriptorStore){ .is_on = getenv(ENVIRONMENT) != NULL };
        for (int i = 0; i < n; i++)
                descriptor_adopt(store, context, SD_LISTEN_FDS_START + i, names[i]);
        return n < 0 ? n : 0;
}

void descriptor_store_close(DescriptorStore *store)
{
        while (store->n > 0)
                close(store->found[--store->n].fd);
}

/* Returns its place, or store->n. */
static unsigned int place_find(const DescriptorStore *store, const char *name)
{
        unsigned int place = 0;

        while (place < store->n && strcmp(store->found[place].name, name) != 0)
                place++;
        return place;
}

int descriptor_store_find(const DescriptorStore *store, const char *name)
{
        const unsigned int place = place_find(store, name);

        return place < store->n ? store->found[place].fd : -1;
}

int descriptor_store_take(DescriptorStore *store, const char *name)
{
        const unsigned int place = place_find(store, name);
        int fd;

        if (place == store->n)
                return -1;
        fd = store->found[place].fd;
        store->found[place] = store->found[--store->n];
        return fd;
}

static void systemd_tell(const DescriptorStore *store, const char *what, const char *name, int fd)
{
        char text[64];

        if (!store->is_on)
                return;
        snprintf(text, sizeof(text), "%s=1\nFDNAME=%s", what, name);
        sd_pid_notify_with_fds(0, 0, text, &fd, fd >= 0);
}

void descriptor_store_put(const DescriptorStore *store, const char *name, int fd)
{
        systemd_tell(store, "FDSTORE", name, fd);
}

void descriptor_store_remove(const DescriptorStore *store, const char *name)
{
        systemd_tell(store, "FDSTOREREMOVE", name, -1);
}

void descriptor_store_clear(DescriptorStore *store)
{
        while (store->n > 0) {
                const StoredDescriptor *last = &store->found[--store->n];

                /* systemd has it, too. What is no socket does not mind. */
                shutdown(last->fd, SHUT_RDWR);
                close(last->fd);
                descriptor_store_remove(store, last->name);
        }
}

StoreName descriptor_store_kick(uint16_t queue)
{
        StoreName name;

        snprintf(name.text, sizeof(name.text), STORE_KICK "%hu", queue);
        return name;
}
