// The host's timebase, and samples of it together with the wall clock.
#pragma once

#include <cstdint>

#include "bracket.h"

namespace kvm_ppc {

// Reads the timebase (mftb). Returns 0, or -ENOSYS on a processor without one.
int Timebase(uint64_t* ticks);

// Returns 0 or -errno: -EIO if the timebase goes back. A processor without a timebase uses
// CLOCK_MONOTONIC in ns instead, so that the bracket can be tested and measured there too.
int TakeSample(Sample* sample);

// Asks adjtimex(2), without adjusting anything: returns the state of the wall clock, from TIME_OK
// to TIME_ERROR, or -errno, and sets the most by which the clock may be wrong.
int ClockState(int64_t* max_error_us);

}  // namespace kvm_ppc
