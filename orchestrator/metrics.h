/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The devices as numbers: the line of "systemctl status", and metrics in the text format of
 * Prometheus (version 0.0.4). Pure.
 */

#include <glib.h>

#include "orchestrator/device-report.h"
#include "orchestrator/histogram.h"

/* Says how many guests and devices there are: "3 guests, 7 devices, 1 with a problem". */
char *metrics_describe(unsigned int n_guests, unsigned int n_devices, unsigned int n_problems);

/* The devices' reports, and how long claims took. The caller frees the text. */
char *metrics_format(const DeviceReport *reports, size_t n_reports, const Histogram *claims);
