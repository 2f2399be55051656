/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/readers.h"

#include <errno.h>
#include <glib.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>

/* Of a group's entry: its members are in it, too. */
#define ENTRY_MAX 65536

/* As many groups as Linux lets a process have. */
#define GROUPS_MAX 65536U

static int group_find(const char *name, gid_t *ret_group)
{
        g_autofree char *buffer = g_malloc(ENTRY_MAX);
        struct group entry, *found;
        int r;

        r = getgrnam_r(name, &entry, buffer, ENTRY_MAX, &found);
        if (r != 0)
                return -r;
        if (!found)
                return -ENOENT;
        *ret_group = found->gr_gid;
        return 0;
}

int readers_parse(const char *text, Readers *ret_readers)
{
        Readers readers = { .kind = READERS_GROUP };
        int r = 0;

        if (strcmp(text, "everybody") == 0)
                readers.kind = READERS_EVERYBODY;
        else if (strcmp(text, "root") == 0)
                readers.kind = READERS_ROOT;
        else
                r = group_find(text, &readers.group);
        if (r >= 0)
                *ret_readers = readers;
        return r;
}

/* Of its further groups, as they were when it connected. */
static bool peer_is_in(int fd, gid_t group)
{
        socklen_t size = GROUPS_MAX * sizeof(gid_t);
        g_autofree gid_t *groups = g_malloc(size);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return false;
        for (size_t i = 0; i < size / sizeof(gid_t); i++) {
                if (groups[i] == group)
                        return true;
        }
        return false;
}

bool readers_permit(const Readers *readers, int fd, uid_t uid, gid_t gid)
{
        if (uid == 0)
                return true;
        switch (readers->kind) {
        case READERS_EVERYBODY:
                return true;
        case READERS_GROUP:
                return gid == readers->group || peer_is_in(fd, readers->group);
        case READERS_ROOT:
                return false;
        }
        return false;
}
