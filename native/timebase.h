// The host's timebase, and the instant at which it and the wall clock were read together.
#pragma once

#include <cstdint>

#include "bracket.h"

namespace kvm_ppc {

// mftb. 0, or -ENOSYS where the processor has no timebase.
int Timebase(uint64_t* ticks);

// 0 or -errno: -EIO if the timebase goes back. On a processor without a timebase, CLOCK_MONOTONIC
// in ns stands in for it, so that the bracket can be tried and measured there too.
int TakeSample(Sample* sample);

// adjtimex(2), which tells and adjusts nothing here: the state of the wall clock, from TIME_OK to
// TIME_ERROR, or -errno; and the most that it can be wrong by.
int ClockState(int64_t* max_error_us);

}  // namespace kvm_ppc
