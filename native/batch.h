// Many registers in one piece of memory, as OneRegBatch of lib/batch.ts lays it out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kvm_ppc {

// Room for `count` entries: first the values, kMaxRegisterSize bytes each, then the ids, then the
// file descriptors, then the results. Then two words of 32 bits: how many entries are used, and how
// many of these failed.
struct Batch {
  uint8_t* data;
  size_t count;
};

constexpr size_t kEntrySize = 32;
constexpr size_t kTrailerSize = 8;

constexpr size_t BatchSize(size_t count) {
  return count * kEntrySize + kTrailerSize;
}

// One system call for each entry that is used, in turn; its result or -errno is put in the entry.
void GetOneRegs(const Batch& batch);
void SetOneRegs(const Batch& batch);

}  // namespace kvm_ppc
