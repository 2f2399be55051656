/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A guest, the IOREQ loop and a device's registers, driven by a fuzzer's bytes: each byte that says
 * what to do is followed by what it needs. Aborts at whatever is not as tests/unit/register-model.h
 * and ring-model.h have it, and if a vCPU is left without its answer.
 */

#include <stddef.h>

#include "frontend/virtio-mmio.h"

void machine_run(const VirtioMmio *mmio, const uint8_t *bytes, size_t size);
