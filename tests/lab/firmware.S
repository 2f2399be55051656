/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Debian's U-Boot for QEMU's board "virt", as it is, in what xl takes for a kernel, after what gives
 * the guest those parts of that board that U-Boot does not start without. "u-boot.bin" and
 * "environment" are in the folder where the assembler looks for them. */

#define RAM             0x40000000      /* on the board as in the guest */
#define TEXT_OFFSET     0x400000        /* behind U-Boot's first stack: CONFIG_CUSTOM_SYS_INIT_SP_ADDR */
#define FLASH           0x4000000       /* with the environment: CONFIG_ENV_ADDR */
#define FLASH_ORDER     6               /* 64 pages: CONFIG_ENV_SIZE */
#define UART            0x9000000       /* CONFIG_DEBUG_UART_BASE */
#define PAGE_SHIFT      12
#define PAGE_SIZE       (1 << PAGE_SHIFT)

/* Xen's public headers: arch-arm.h, xen.h and memory.h. */
#define HYPERCALL       0xea1
#define MEMORY_OP       12
#define POPULATE_PHYSMAP 6
#define DOMID_SELF      0x7ff0

/* The header of Linux, Documentation/arch/arm64/booting.rst. */
header: b       start
        .long   0
        .quad   TEXT_OFFSET
        .quad   end - header
        .quad   2                       /* little-endian, pages of 4 KiB, near the start of RAM */
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

/* x0 is where Xen's device tree is. */
start:  mov     x19, x0
        adr     x1, uart
        bl      populate
        mov     x0, #UART
        mov     x2, #PAGE_SIZE
        bl      clear
        adr     x1, flash
        bl      populate
        mov     x0, #FLASH
        mov     x2, #(PAGE_SIZE << FLASH_ORDER)
        bl      clear
        mov     x0, #FLASH
        adr     x1, environment
        mov     x2, #(environment_end - environment)
        bl      copy
        mov     x0, #RAM                /* where U-Boot looks for it */
        mov     x1, x19
        ldr     w2, [x19, #4]           /* its size, big-endian */
        rev     w2, w2
        bl      copy
        b       u_boot

/* Memory where the guest has none. x1: a struct xen_memory_reservation */
populate:
        mov     x0, #POPULATE_PHYSMAP
        mov     x16, #MEMORY_OP
        hvc     #HYPERCALL
        ret

/* x0: where, x2: bytes. Xen promises no zeros. */
clear:  str     xzr, [x0], #8
        subs    x2, x2, #8
        b.hi    clear
        ret

/* x0: to, x1: from, x2: bytes. Words, since without an MMU all accesses have to be aligned. */
copy:   ldr     x3, [x1], #8
        str     x3, [x0], #8
        subs    x2, x2, #8
        b.hi    copy
        ret

/* The UART that messages go to before the guest's own one is found: zeros say "not full". */
        .balign 8
uart:   .quad   uart_frame - header + RAM + TEXT_OFFSET, 1
        .long   0, 0
        .quad   DOMID_SELF
flash:  .quad   flash_frame - header + RAM + TEXT_OFFSET, 1
        .long   FLASH_ORDER, 0
        .quad   DOMID_SELF
uart_frame:
        .quad   UART >> PAGE_SHIFT
flash_frame:
        .quad   FLASH >> PAGE_SHIFT

environment:
        .incbin "environment"
        .balign 8, 0
environment_end:
        .balign PAGE_SIZE, 0            /* all that U-Boot asks of its place */
u_boot: .incbin "u-boot.bin"
end:
