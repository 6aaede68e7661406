// The programs of the test guest: position-independent POWER instructions that run in real mode.
//
// Register 3 points to the vCPU's own block of eight 64-bit words, through which a program talks to
// whoever runs it. index.ts names the words.
#pragma once

// Reads the timebase in a tight loop and keeps account of its steps. The leaving one also leaves
// KVM_RUN by H_RTAS every 2^14 readings.
//
//    0 reads   8 backward steps   16 worst of them   24 largest forward step   32 last value
//   40 first value at or above word 56, once this is 0   48 value before that   56 see 40
asm(R"(
  .macro watch leaving
  mr    31, 3
  mftb  4
  std   4, 32(31)
0:
  mftb  4
  ld    5, 32(31)
  std   4, 32(31)
  subf  6, 5, 4
  cmpdi 6, 0
  blt   1f
  ld    7, 24(31)
  cmpld 6, 7
  ble   2f
  std   6, 24(31)
  b     2f
1:
  neg   6, 6
  ld    7, 8(31)
  addi  7, 7, 1
  std   7, 8(31)
  ld    7, 16(31)
  cmpld 6, 7
  ble   2f
  std   6, 16(31)
2:
  ld    7, 40(31)
  cmpdi 7, 0
  bne   3f
  ld    7, 56(31)
  cmpld 4, 7
  blt   3f
  std   4, 40(31)
  std   5, 48(31)
3:
  ld    7, 0(31)
  addi  7, 7, 1
  std   7, 0(31)
  .if \leaving
  andi. 8, 7, 0x3fff
  bne   0b
  lis   3, 0
  ori   3, 3, 0xf000
  sc    1
  .endif
  b     0b
  .endm

  .pushsection .rodata
  .balign 16
  .global guest_watch, guest_watch_end, guest_leaving_watch, guest_leaving_watch_end
guest_watch:
  watch 0
guest_watch_end:
guest_leaving_watch:
  watch 1
guest_leaving_watch_end:
  .popsection
)");

// Leaves KVM_RUN each time with what it has read of the timebase as the first argument of H_RTAS,
// which goes to user space while no RTAS token is defined.
asm(R"(
  .pushsection .rodata
  .balign 16
  .global guest_ask, guest_ask_end
guest_ask:
  mftb  4
  lis   3, 0
  ori   3, 3, 0xf000
  sc    1
  b     guest_ask
guest_ask_end:
  .popsection
)");

// Arms the decrementer once with the ticks in word 0, notes in word 8 when that was, and waits with
// interrupts on. The handler, which goes to 0x900, notes in word 16 when it fired and counts in 24.
asm(R"(
  .pushsection .rodata
  .balign 16
  .global guest_decrementer, guest_decrementer_end, guest_decrementer_handler
guest_decrementer:
  ld    4, 0(3)
  mftb  5
  mtdec 4
  std   5, 8(3)
  mfmsr 6
  ori   6, 6, 0x8000
  mtmsrd 6
0:
  mftb  5
  std   5, 32(3)
  b     0b
guest_decrementer_handler:
  mftb  7
  lis   8, 0x7fff
  mtdec 8
  ld    8, 24(3)
  cmpdi 8, 0
  bne   1f
  std   7, 16(3)
1:
  addi  8, 8, 1
  std   8, 24(3)
  rfid
guest_decrementer_end:
  .popsection
)");

extern "C" const char guest_watch[], guest_watch_end[];
extern "C" const char guest_leaving_watch[], guest_leaving_watch_end[];
extern "C" const char guest_ask[], guest_ask_end[];
extern "C" const char guest_decrementer[], guest_decrementer_handler[], guest_decrementer_end[];
