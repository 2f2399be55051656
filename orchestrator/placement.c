/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/placement.h"

bool placement_can_share(const Launch *launch)
{
        return launch->memory != MEMORY_SEED || launch->grant_usage;
}

bool placement_opens_shared(uint16_t server, unsigned int reserved)
{
        return server + reserved + 1 >= IOREQ_SERVERS_MAX;
}
