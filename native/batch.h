// Many registers in one piece of memory, as OneRegBatch of lib/batch.ts lays it out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kvm_ppc {

// Of `count` entries: first the values, kMaxRegisterSize bytes each, then the ids, then the file
// descriptors, then the results.
struct Batch {
  uint8_t* data;
  size_t count;
};

constexpr size_t kEntrySize = 32;

// One system call for each entry in turn, its result or -errno in the entry.
void GetOneRegs(const Batch& batch);
void SetOneRegs(const Batch& batch);

}  // namespace kvm_ppc
