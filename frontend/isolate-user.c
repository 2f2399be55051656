/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/isolate.h"

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>

int isolate_user(void)
{
        const char *folder = getenv("RUNTIME_DIRECTORY");
        struct stat owner;

        if (!folder)
                return 0;
        if (stat(folder, &owner) < 0)
                return -errno;
        if (owner.st_uid == 0 || owner.st_gid == 0)
                return -EPERM;
        if (setgroups(0, NULL) < 0 || setresgid(owner.st_gid, owner.st_gid, owner.st_gid) < 0 ||
            setresuid(owner.st_uid, owner.st_uid, owner.st_uid) < 0)
                return -errno;
        return setuid(0) < 0 ? 0 : -EPERM;
}
