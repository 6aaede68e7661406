/*
 * Loaded into QEMU (LD_PRELOAD) so that the stream which it writes holds numbers that are known beforehand.
 *
 * Under TCG, guest_timebase is the processor's cycle counter at the instant of writing, and time_of_the_day_ns is
 * gettimeofday(). Here the counter is CAPTURE_COUNTER and the time of day CAPTURE_TIME_US. CAPTURE_RDTSC lists the
 * offsets of QEMU's RDTSC instructions, which are replaced in memory by UD2, of two bytes too, and emulated. (The
 * kernel can trap RDTSC by itself, PR_SET_TSC, but some hypervisors do not honour that.)
 *
 * A file whose path begins with CAPTURE_HUGE pretends to lie on hugetlbfs with pages of 2 MiB: QEMU takes the page size
 * of a memory backend from fstatfs() and statfs().
 */
#define _GNU_SOURCE
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define HUGETLBFS 0x958458f6
#define HUGE_PAGE (2 << 20)

static const uint8_t rdtsc[] = {0x0f, 0x31};
static const uint8_t ud2[] = {0x0f, 0x0b};

static uint64_t counter;
static uint64_t time_us;
static const char *huge;

static void fail(const char *what) {
  fprintf(stderr, "chosen.c: %s\n", what);
  exit(2);
}

static const char *setting(const char *name) {
  const char *text = getenv(name);
  if (text == NULL) fail(name);
  return text;
}

static void emulate(int signal_number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  (void)signal_number;
  (void)info;
  registers[REG_RAX] = counter & 0xffffffff;
  registers[REG_RDX] = counter >> 32;
  registers[REG_RIP] += sizeof ud2;
}

static void replace(uint8_t *code) {
  uintptr_t page = sysconf(_SC_PAGESIZE);
  uint8_t *from = (uint8_t *)((uintptr_t)code & -page);
  size_t length = code + sizeof ud2 - from;
  if (memcmp(code, rdtsc, sizeof rdtsc) != 0) fail("CAPTURE_RDTSC is not of this program");
  if (mprotect(from, length, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) fail("mprotect");
  memcpy(code, ud2, sizeof ud2);
  if (mprotect(from, length, PROT_READ | PROT_EXEC) != 0) fail("mprotect");
}

/* The first one listed is the program itself. */
static int program(struct dl_phdr_info *info, size_t size, void *base) {
  (void)size;
  *(uint8_t **)base = (uint8_t *)info->dlpi_addr;
  return 1;
}

__attribute__((constructor)) static void begin(void) {
  const struct sigaction action = {.sa_sigaction = emulate, .sa_flags = SA_SIGINFO};
  const char *offsets = setting("CAPTURE_RDTSC");
  uint8_t *base;
  char *end;
  counter = strtoull(setting("CAPTURE_COUNTER"), NULL, 10);
  time_us = strtoull(setting("CAPTURE_TIME_US"), NULL, 10);
  huge = getenv("CAPTURE_HUGE");
  if (sigaction(SIGILL, &action, NULL) != 0) fail("sigaction");
  dl_iterate_phdr(program, &base);
  for (; *offsets != '\0'; offsets = *end == ',' ? end + 1 : end) replace(base + strtoull(offsets, &end, 16));
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  now->tv_sec = time_us / 1000000;
  now->tv_usec = time_us % 1000000;
  return 0;
}

static void pretend(const char *path, struct statfs *found) {
  if (huge == NULL || strncmp(path, huge, strlen(huge)) != 0) return;
  found->f_type = HUGETLBFS;
  found->f_bsize = HUGE_PAGE;
}

int statfs(const char *path, struct statfs *found) {
  int result = syscall(SYS_statfs, path, found);
  if (result == 0) pretend(path, found);
  return result;
}

int fstatfs(int descriptor, struct statfs *found) {
  int result = syscall(SYS_fstatfs, descriptor, found);
  char name[64];
  char path[PATH_MAX] = "";
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  if (result == 0 && readlink(name, path, sizeof path - 1) > 0) pretend(path, found);
  return result;
}

int statfs64(const char *path, struct statfs64 *found) { return statfs(path, (struct statfs *)found); }
int fstatfs64(int descriptor, struct statfs64 *found) {
  return fstatfs(descriptor, (struct statfs *)found);
}
