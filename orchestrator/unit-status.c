/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/unit-status.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

UnitPhase unit_phase_parse(const char *active_state)
{
        static const struct {
                const char *name;
                UnitPhase phase;
        } states[] = {
                { "active", UNIT_UP },
                { "reloading", UNIT_UP },
                { "refreshing", UNIT_UP },
                { "activating", UNIT_STARTING },
                { "maintenance", UNIT_STARTING },
                { "deactivating", UNIT_STOPPING },
                { "inactive", UNIT_DOWN },
                { "failed", UNIT_DOWN },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                if (strcmp(active_state, states[i].name) == 0)
                        return states[i].phase;
        }
        return UNIT_DOWN;
}

bool unit_status_lingers(const char *sub_state)
{
        return strcmp(sub_state, "auto-restart") == 0;
}

bool unit_status_is_refusal(const UnitStatus *status)
{
        return !status->refusal && status->exit_code == CLD_EXITED &&
               (status->exit_status == EX_USAGE || status->exit_status == EX_CONFIG);
}

char *unit_status_describe(const UnitStatus *status)
{
        const char *name;

        if (status->refusal)
                return g_strdup_printf("could not be started: %s", status->refusal);
        if (strcmp(status->result, "timeout") == 0)
                return g_strdup("did not become ready in time");
        if (strcmp(status->result, "watchdog") == 0)
                return g_strdup("hung and was killed");
        if (status->exit_code == CLD_EXITED)
                return g_strdup_printf("exited with status %d", status->exit_status);
        if (status->exit_code == CLD_KILLED || status->exit_code == CLD_DUMPED) {
                name = sigabbrev_np(status->exit_status);
                return g_strdup_printf("was killed by signal %d (%s)", status->exit_status,
                                       name ? name : "?");
        }
        if (status->result[0] != '\0' && strcmp(status->result, "success") != 0)
                return g_strdup_printf("could not be started (%s)", status->result);
        return g_strdup("ended");
}
