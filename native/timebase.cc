#include "timebase.h"

#include <sys/timex.h>
#include <time.h>

#include <cerrno>

namespace kvm_ppc {

namespace {

#ifdef __powerpc__
// The processor may execute mftb before earlier loads or after later ones; isync prevents both.
uint64_t Counter() {
  asm volatile("isync" ::: "memory");
  uint64_t ticks = __builtin_ppc_get_timebase();
  asm volatile("isync" ::: "memory");
  return ticks;
}
#else
uint64_t Counter() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}
#endif

}  // namespace

int Timebase(uint64_t* ticks) {
#ifdef __powerpc__
  *ticks = __builtin_ppc_get_timebase();
  return 0;
#else
  (void)ticks;
  return -ENOSYS;
#endif
}

int TakeSample(Sample* sample) {
  const auto clock = [](int64_t* ns) {
    timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) < 0) return -errno;
    *ns = static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
    return 0;
  };
  return TakeBracket(Counter, clock, sample);
}

int ClockState(int64_t* max_error_us) {
  timex clock = {};
  const int state = adjtimex(&clock);
  if (state < 0) return -errno;
  *max_error_us = clock.maxerror;
  return state;
}

}  // namespace kvm_ppc
