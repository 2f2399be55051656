/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What virtio 1.3 says of one access to the registers, written down a second time, from its text
 * and with its numbers: tests and fuzzers compare frontend/virtio-mmio.c with it. The two share the
 * structure only, so that one comparison of memory sees every difference.
 */

#include "frontend/virtio-mmio.h"

uint64_t register_model_read(VirtioMmio *mmio, uint64_t offset, uint32_t size);
VirtioEvent register_model_write(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint64_t value);
