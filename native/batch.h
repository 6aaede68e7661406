// A batch of register calls in one piece of memory: OneRegBatch of lib/kernel/batch.ts.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "kvm.h"

namespace kvm_ppc {

// The memory of `count` entries: first the values, kMaxRegisterSize bytes each, then the ids, then
// the file descriptors, then the results. Two words of 32 bits follow: the number of entries in
// use, and padding.
struct Batch {
  uint8_t* data;
  size_t count;
};

constexpr size_t kEntrySize = 32;
constexpr size_t kTrailerSize = 8;
static_assert(kEntrySize == kMaxRegisterSize + sizeof(uint64_t) + 2 * sizeof(int32_t));

constexpr size_t BatchSize(size_t count) {
  return count * kEntrySize + kTrailerSize;
}

// Pointers to the parts of a batch. The caller's other threads may write to this memory at any
// time, so each word is read only once, and the value that was checked is the one that is used.
struct Entries {
  explicit Entries(const Batch& batch)
      : values(batch.data),
        ids(reinterpret_cast<uint64_t*>(values + batch.count * kMaxRegisterSize)),
        fds(reinterpret_cast<volatile int32_t*>(ids + batch.count)),
        results(fds + batch.count),
        used(std::min<size_t>(*reinterpret_cast<volatile uint32_t*>(results + batch.count),
                              batch.count)) {}

  uint8_t* values;
  volatile uint64_t* ids;
  volatile int32_t* fds;
  volatile int32_t* results;
  size_t used;
};

using OneRegCall = int(int fd, uint64_t id, void* value);

template <OneRegCall call>
inline int CallForOne(const Entries& entries, size_t i) {
  // The size that is checked must be the size that the kernel copies.
  const uint64_t id = entries.ids[i];
  const int result = RegisterSize(id) > kMaxRegisterSize
                         ? -EINVAL
                         : call(entries.fds[i], id, entries.values + i * kMaxRegisterSize);
  entries.results[i] = result;
  return result;
}

template <OneRegCall call>
[[gnu::noinline]] int CallForMany(const Batch& batch) {
  const Entries entries(batch);
  int failure = 0;
  for (size_t i = 0; i < entries.used; i++) {
    const int result = CallForOne<call>(entries, i);
    if (result < 0 && failure == 0) failure = result;
  }
  return failure;
}

// Makes one system call for each entry in use, in order, and puts its result or -errno into the
// entry. Returns 0, or the -errno of the first call that failed.
template <OneRegCall call>
inline int CallForEach(const Batch& batch) {
  // A single entry skips the loop, which would double the cost of this function by saving the
  // registers that it needs.
  if (batch.count != 1) return CallForMany<call>(batch);
  const Entries entries(batch);
  return entries.used == 0 ? 0 : CallForOne<call>(entries, 0);
}

}  // namespace kvm_ppc
