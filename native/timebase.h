// The host's timebase, and the instant at which it and the wall clock were read together.
#pragma once

#include <cstdint>

namespace kvm_ppc {

struct Sample {
  uint64_t timebase;       // ticks
  int64_t time_of_day_ns;  // CLOCK_REALTIME
  uint64_t half_width;     // ticks: how far apart the two readings can be
};

// mftb. 0, or -ENOSYS where the processor has no timebase.
int Timebase(uint64_t* ticks);

// 0 or -errno. On a processor without a timebase, CLOCK_MONOTONIC in ns stands in for it, so that
// the bracket can be tried and measured there too.
int TakeSample(Sample* sample);

// adjtimex(2), which tells and adjusts nothing here: the state of the wall clock, from TIME_OK to
// TIME_ERROR, or -errno; and the most that it can be wrong by.
int ClockState(int64_t* max_error_us);

}  // namespace kvm_ppc
