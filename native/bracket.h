// Reads a clock between two readings of a counter.
#pragma once

#include <cerrno>
#include <cstdint>

namespace kvm_ppc {

struct Sample {
  uint64_t timebase;       // ticks
  int64_t time_of_day_ns;  // CLOCK_REALTIME
  uint64_t half_width;     // ticks: how far apart the two readings can be
};

// Enough for one try without an interrupt, and with the vDSO in the cache after the first.
constexpr int kTries = 8;

// Takes the narrowest of a few brackets. `counter` returns ticks; `clock` gets a pointer for its
// ns, and returns 0 or -errno. Returns 0, the -errno of the clock, or -EIO if the counter went back
// in every try.
template <typename Counter, typename Clock>
int TakeBracket(Counter counter, Clock clock, Sample* sample) {
  // A counter that goes back gives a width of almost 2^64.
  constexpr uint64_t kTooWide = uint64_t{1} << 63;
  uint64_t narrowest = kTooWide;
  for (int i = 0; i < kTries; i++) {
    int64_t now = 0;
    const uint64_t before = counter();
    if (const int failure = clock(&now)) return failure;
    const uint64_t width = counter() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    sample->timebase = before + width / 2;
    sample->time_of_day_ns = now;
    sample->half_width = width - width / 2;
  }
  return narrowest == kTooWide ? -EIO : 0;
}

}  // namespace kvm_ppc
