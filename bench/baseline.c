// The C program with which the library is compared. It makes the same ioctls in the same order, and does
// nothing else.
//
//   baseline DEVICE THREADS ROUNDS VCPUS...     prints lines of JSON: {"row": ..., "ns": ... for one}
//
// With a second thread, which does nothing, each call costs more: the kernel then counts the users of
// a file around every ioctl (fdget in fs/file.c). A monitor has a thread for each vCPU, and so has Node.

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

// A register of 64 bits that keeps the value written to it.
#ifdef __powerpc__
#define REGISTER KVM_REG_PPC_DAR
#else
#define REGISTER 0x2030000200000277ULL  // IA32_PAT
#endif

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void print(const char* row, long vcpus, double ns) {
  printf("{\"row\": \"%s\", \"vcpus\": %ld, \"ns\": %.2f}\n", row, vcpus, ns);
}

static int must(int result, const char* what) {
  if (result < 0) {
    fprintf(stderr, "baseline: %s: %s\n", what, strerror(errno));
    exit(1);
  }
  return result;
}

static int get(int fd, uint64_t id, void* value) {
  struct kvm_one_reg reg = {id, (uintptr_t)value};
  return ioctl(fd, KVM_GET_ONE_REG, &reg);
}

static int set(int fd, uint64_t id, void* value) {
  struct kvm_one_reg reg = {id, (uintptr_t)value};
  return ioctl(fd, KVM_SET_ONE_REG, &reg);
}

// The shortest of twenty runs counts, since a disturbance only makes a run longer.
#define BEST(row, vcpus, rounds, each, body)               \
  do {                                                     \
    double best = 0;                                       \
    for (int turn = 0; turn < 20; turn++) {                 \
      const int64_t began = now();                         \
      for (long round = 0; round < (rounds); round++) body \
      const double ns = (double)(now() - began) / (rounds) / (each); \
      if (turn == 0 || ns < best) best = ns;               \
    }                                                      \
    print(row, vcpus, best);                               \
  } while (0)

#ifdef __powerpc__

static const uint64_t timers[] = {
    KVM_REG_PPC_TB_OFFSET, KVM_REG_PPC_DEC_EXPIRY, KVM_REG_PPC_VTB,
    KVM_REG_PPC_PURR,      KVM_REG_PPC_SPURR,
};

static uint64_t timebase(void) {
  return __builtin_ppc_get_timebase();
}

static void sample(uint64_t* ticks, int64_t* ns) {
  uint64_t narrowest = UINT64_MAX;
  for (int i = 0; i < 8; i++) {
    struct timespec t;
    const uint64_t before = timebase();
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t width = timebase() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    *ticks = before + width / 2;
    *ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
  }
}

// Register by register, as the library goes through them.
static void save(const int* fds, long count, uint64_t* values) {
  uint64_t ticks;
  int64_t ns;
  for (int r = 0; r < 5; r++)
    for (long v = 0; v < count; v++) must(get(fds[v], timers[r], &values[r * count + v]), "get");
  sample(&ticks, &ns);
}

static void load(const int* fds, long count, const uint64_t* saved, uint64_t* values) {
  uint64_t offset = saved[0];
  save(fds, count, values);
  for (long v = 0; v < count; v++) must(set(fds[v], timers[0], &offset), "set");
  for (long v = 0; v < count; v++) {
    uint64_t held;
    must(get(fds[v], timers[0], &held), "get");
    if (held != offset) exit(1);
  }
  for (int r = 1; r < 5; r++)
    for (long v = 0; v < count; v++)
      must(set(fds[v], timers[r], (void*)&saved[r * count + v]), "set");
  for (long v = 0; v < count; v++) {
    uint64_t held;
    must(get(fds[v], timers[1], &held), "get");
    if (held != saved[count + v]) exit(1);
  }
}

static void move(int kvm, long count) {
  const int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  int* fds = calloc(count, sizeof *fds);
  uint64_t* saved = calloc(5 * count, sizeof *saved);
  uint64_t* values = calloc(5 * count, sizeof *values);
  for (long v = 0; v < count; v++) fds[v] = must(ioctl(vm, KVM_CREATE_VCPU, v), "KVM_CREATE_VCPU");
  // As a monitor does it that saves or loads once.
  int64_t began = now();
  save(fds, count, saved);
  print("first save", count, now() - began);
  began = now();
  load(fds, count, saved, values);
  print("first load", count, now() - began);
  const long rounds = count < 100 ? 200 : 4;
  BEST("save", count, rounds, 1, { save(fds, count, saved); });
  BEST("load", count, rounds, 1, { load(fds, count, saved, values); });
  for (long v = 0; v < count; v++) close(fds[v]);
  close(vm);
  free(fds);
  free(saved);
  free(values);
}

#endif

static void* idle(void* nothing) {
  pause();
  return nothing;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const char* device = *++argv;
  argc--;
  pthread_t thread;
  if (atoi(argv[1]) > 1) pthread_create(&thread, NULL, idle, NULL);
  const long rounds = atol(argv[2]);
  const int kvm = must(open(device, O_RDWR | O_CLOEXEC), device);
  // On another file the ioctl fails at once, and what is timed is the way there and back.
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  const int vcpu = vm < 0 ? kvm : must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
  uint64_t value = 0;
  // Nor has KVM on x86 any before Linux 6.18.
  const int there = get(vcpu, REGISTER, &value) == 0;
  BEST("get", 1, rounds, 1, { if (there && get(vcpu, REGISTER, &value) < 0) exit(1); else if (!there) get(vcpu, REGISTER, &value); });
  BEST("set", 1, rounds, 1, { if (there && set(vcpu, REGISTER, &value) < 0) exit(1); else if (!there) set(vcpu, REGISTER, &value); });
#ifdef __powerpc__
  static const uint64_t ten[] = {
      KVM_REG_PPC_DAR,  KVM_REG_PPC_DSCR, KVM_REG_PPC_AMR,   KVM_REG_PPC_UAMOR, KVM_REG_PPC_MMCR1,
      KVM_REG_PPC_SIAR, KVM_REG_PPC_SDAR, KVM_REG_PPC_MMCRA, KVM_REG_PPC_PURR,  KVM_REG_PPC_SPURR,
  };
  uint64_t values[10];
  BEST("read of 10, each", 1, rounds, 10, {
    for (int i = 0; i < 10; i++) must(get(vcpu, ten[i], &values[i]), "get");
  });
  BEST("timebase", 1, rounds * 10, 1, { asm volatile("" : : "r"(timebase())); });
  BEST("sample", 1, rounds, 1, {
    uint64_t ticks;
    int64_t ns;
    sample(&ticks, &ns);
  });
  for (int i = 3; i < argc; i++) move(kvm, atol(argv[i]));
#else
  uint64_t values[10];
  BEST("read of 10, each", 1, rounds, 10, {
    for (int i = 0; i < 10; i++) get(vcpu, REGISTER, &values[i]);
  });
#endif
  return 0;
}
