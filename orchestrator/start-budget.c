/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/start-budget.h"

uint64_t start_budget_take(StartBudget *budget, uint64_t now_usec)
{
        static const uint64_t most = (START_BUDGET_BURST - 1) * START_BUDGET_INTERVAL_USEC;
        const uint64_t full = budget->full_usec > now_usec ? budget->full_usec : now_usec;

        if (full - now_usec > most)
                return full - most;
        budget->full_usec = full + START_BUDGET_INTERVAL_USEC;
        return 0;
}

bool start_budget_permit(StartBudget *budget, Restart *restart, uint64_t now_usec)
{
        uint64_t after = 0;

        if (restart->failures > 0)
                after = start_budget_take(budget, now_usec);
        if (after > 0)
                restart->not_before = after;
        return after == 0;
}
