/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Says what the configuration would run, and what is wrong with it, before a guest starts. Asks
 * neither xen-virtiod nor Xen. What would be run goes to the output; each thing that is wrong is
 * one line of the problems.
 */

#include "orchestrator/configuration.h"

typedef struct Check {
        Configuration *configuration;
        GString *output, *problems;
        unsigned int n_problems;
} Check;

/* Reads the configuration below root, as configuration_load(). */
Check *check_new(const char *root);
Check *check_free(Check *check);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Check, check_free)

/* All profiles and all guest files. */
void check_everything(Check *check);

/* The guest file of a domain, by its name or UUID. */
void check_guest(Check *check, const char *guest);

/* The devices of a guest that is made from this xl.cfg(5), with its guest file. */
void check_xl_config(Check *check, const char *path);
