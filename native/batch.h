// Many registers in one piece of memory, as OneRegBatch of lib/kernel/batch.ts lays it out.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "kvm.h"

namespace kvm_ppc {

// Room for `count` entries: first the values, kMaxRegisterSize bytes each, then the ids, then the
// file descriptors, then the results. Then two words of 32 bits: how many entries are used, and one
// that is not.
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

// Where the parts of a batch are. Another thread may share this memory: each word is read once.
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

// One system call for each entry that is used, in turn; its result or -errno is put in the entry.
// Returns 0, or the -errno of the first that failed.
template <OneRegCall call>
inline int CallForEach(const Batch& batch) {
  // Apart from the others: what a loop keeps in registers costs a single call as much again as the
  // rest of what is done here.
  if (batch.count != 1) return CallForMany<call>(batch);
  const Entries entries(batch);
  return entries.used == 0 ? 0 : CallForOne<call>(entries, 0);
}

}  // namespace kvm_ppc
