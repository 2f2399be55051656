/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What there is to know of a host before devices are served on it. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A text that is NULL could not be found out. */
typedef struct HostFacts {
        /* From files */
        char *hypervisor;         /* "xen" */
        char *xen_version;        /* "4.20.3" */
        char *capabilities;       /* of the domain: "control_d" is dom0's */
        char *config;             /* the kernel's, all of it */
        uint64_t memory_kib;      /* of this domain; 0: unknown */
        uint64_t scratch_kib;     /* of scratch_space_kib(); 0: unknown */
        bool privcmd_is_free;     /* Linux was told not to restrict it in a driver domain */
        bool hotplug_unpopulated; /* memory is added for mappings, instead of ballooned out */
        bool has_privcmd, has_evtchn, has_gntdev, has_xenbus; /* the devices in /dev/xen */

        /* From others */
        char *kernel_release; /* "6.12.9" */
        char *systemd_version;
        char *libraries;      /* as they are loaded */
        int ioreq_servers;    /* of claims_probe(), or why it could not ask */
        char *daemon_version; /* of the xen-virtiod that runs */
} HostFacts;

/* Reads what is in files below the folder root, for kernel_release, which has to be there. */
void host_facts_read(int root, HostFacts *facts);

void host_facts_clear(HostFacts *facts);

/* Whether the kernel was built with an option, "XEN_PRIVCMD_EVENTFD"; false if it is not known. */
bool host_facts_has_option(const HostFacts *facts, const char *option);
