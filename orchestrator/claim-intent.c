/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/claim-intent.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/device-name.h"
#include "common/launch.h"
#include "common/parse.h"

#define PREFIX     ".claim-"
#define INTENT_MAX 48

static void intent_name(uint16_t domid, uint64_t base, char ret_name[INTENT_MAX])
{
        g_snprintf(ret_name, INTENT_MAX, PREFIX "%" PRIu16 "-%#" PRIx64, domid, base);
}

int claim_intent_begin(int rundir, uint16_t domid, uint64_t base, const char *uuid)
{
        char name[INTENT_MAX];

        intent_name(domid, base, name);
        if (symlinkat(uuid, rundir, name) == 0)
                return 0;
        /* The one that is there may be of another guest. */
        if (errno != EEXIST || unlinkat(rundir, name, 0) < 0)
                return -errno;
        return symlinkat(uuid, rundir, name) < 0 ? -errno : 0;
}

void claim_intent_end(int rundir, uint16_t domid, uint64_t base)
{
        char name[INTENT_MAX];

        intent_name(domid, base, name);
        unlinkat(rundir, name, 0);
}

static int intent_parse(const char *name, uint16_t *ret_domid, uint64_t *ret_base)
{
        g_auto(GStrv) words = NULL;
        uint64_t domid;

        if (!g_str_has_prefix(name, PREFIX))
                return -EINVAL;
        words = g_strsplit(name + strlen(PREFIX), "-", 2);
        if (g_strv_length(words) != 2 || parse_unsigned(words[0], DOMID_RESERVED - 1, &domid) < 0 ||
            parse_unsigned(words[1], UINT64_MAX, ret_base) < 0)
                return -EINVAL;
        *ret_domid = (uint16_t)domid;
        return 0;
}

int claim_intent_list(int rundir, ClaimIntentFound *found, void *userdata)
{
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", rundir);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        if (!dir)
                return -EIO;
        while ((name = g_dir_read_name(dir))) {
                char uuid[LAUNCH_UUID_SIZE];
                uint16_t domid;
                uint64_t base;
                ssize_t size;

                if (intent_parse(name, &domid, &base) < 0)
                        continue;
                /* Of one that cannot be read nobody knows which servers it is not about. */
                size = readlinkat(rundir, name, uuid, sizeof(uuid) - 1);
                if (size != sizeof(uuid) - 1)
                        continue;
                uuid[size] = '\0';
                found(userdata, domid, base, uuid);
        }
        return 0;
}
