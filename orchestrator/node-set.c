/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/node-set.h"

#include <stdlib.h>

static const char *const node_names[_NODE_MAX] = {
        [NODE_FRONTEND_ID] = "frontend-id",
        [NODE_STATE] = "state",
        [NODE_BASE] = "base",
        [NODE_IRQ] = "irq",
        [NODE_TRANSPORT] = "transport",
        [NODE_GRANT_USAGE] = "grant_usage",
        [NODE_TYPE] = "type",
        [NODE_SPECIFICATION] = "specification",
        [NODE_PARAMS] = "params",
        [NODE_MODE] = "mode",
        [NODE_DEVICE_TYPE] = "device-type",
        [NODE_DEV] = "dev",
        [NODE_ERROR] = "error",
        [NODE_DOMAIN_VM] = "vm",
        [NODE_DOMAIN_NAME] = "name",
        [NODE_DOMAIN_MEMORY] = "memory/static-max",
};

const char *node_name(Node node)
{
        return node_names[node];
}

bool node_is_domain(Node node)
{
        return node >= NODE_DOMAIN_VM;
}

bool node_set_has_device(const NodeSet *nodes)
{
        for (unsigned int i = 0; i < _NODE_MAX; i++) {
                if (!node_is_domain(i) && i != NODE_ERROR && nodes->values[i])
                        return true;
        }
        return false;
}

void node_set_clear(NodeSet *nodes)
{
        for (unsigned int i = 0; i < _NODE_MAX; i++) {
                free(nodes->values[i]);
                nodes->values[i] = NULL;
        }
}
