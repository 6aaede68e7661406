#include "batch.h"

#include <algorithm>
#include <cerrno>

#include "kvm.h"

namespace kvm_ppc {

namespace {

static_assert(kEntrySize == kMaxRegisterSize + sizeof(uint64_t) + 2 * sizeof(int32_t));

template <typename Call>
void ForEachEntry(const Batch& batch, Call call) {
  uint8_t* values = batch.data;
  auto* ids = reinterpret_cast<volatile uint64_t*>(values + batch.count * kMaxRegisterSize);
  auto* fds = reinterpret_cast<volatile int32_t*>(ids + batch.count);
  auto* results = fds + batch.count;
  const auto* trailer = reinterpret_cast<volatile uint32_t*>(results + batch.count);
  const size_t used = std::min<size_t>(*trailer, batch.count);
  for (size_t i = 0; i < used; i++) {
    // Read once: another thread may share this memory, and the size that is checked must be the
    // size that the kernel copies.
    const uint64_t id = ids[i];
    results[i] = RegisterSize(id) > kMaxRegisterSize
                     ? -EINVAL
                     : call(fds[i], id, values + i * kMaxRegisterSize);
  }
}

}  // namespace

void GetOneRegs(const Batch& batch) {
  ForEachEntry(batch, [](int fd, uint64_t id, void* value) { return GetOneReg(fd, id, value); });
}

void SetOneRegs(const Batch& batch) {
  ForEachEntry(batch,
               [](int fd, uint64_t id, const void* value) { return SetOneReg(fd, id, value); });
}

}  // namespace kvm_ppc
