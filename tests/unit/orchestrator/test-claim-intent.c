/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The notes of claims that were not finished. */

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <unistd.h>

#include "common/macros.h"
#include "orchestrator/claim-intent.h"
#include "tests/unit/orchestrator/folder.h"

#define ONE   "8a5d2f0e-7d11-4f6e-9a55-0123456789ab"
#define OTHER "11111111-7d11-4f6e-9a55-0123456789ab"

static void on_found(void *userdata, uint16_t domid, uint64_t base, const char *uuid)
{
        g_string_append_printf(userdata, "%u %#" PRIx64 " %s\n", (unsigned int)domid, base, uuid);
}

static void assert_notes(int rundir, const char *expected)
{
        g_autoptr(GString) found = g_string_new(NULL);

        g_assert_cmpint(claim_intent_list(rundir, on_found, found), ==, 0);
        g_assert_cmpstr(found->str, ==, expected);
}

/* A note is of the guest that the last claim was meant for; what is no note is passed over. */
static void test_notes(void)
{
        g_autofree char *folder = folder_make();
        _cleanup_fd_ int rundir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        folder_put(folder, ".claim-5", "");
        folder_put(folder, "5-shared/launch", "");
        folder_put(folder, ".claim-5-0x2000200", "");
        g_assert_cmpint(symlinkat("claim", rundir, ".claim-5-0x2000400"), ==, 0);
        assert_notes(rundir, "");
        g_assert_cmpint(claim_intent_begin(rundir, 5, 0x2000000, ONE), ==, 0);
        assert_notes(rundir, "5 0x2000000 " ONE "\n");
        g_assert_cmpint(claim_intent_begin(rundir, 5, 0x2000000, OTHER), ==, 0);
        assert_notes(rundir, "5 0x2000000 " OTHER "\n");
        claim_intent_end(rundir, 5, 0x2000000);
        assert_notes(rundir, "");
        folder_remove(folder);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/claim-intent/notes", test_notes);
        return g_test_run();
}
