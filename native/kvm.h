// Linux's KVM calls on file descriptors. Each makes one system call and returns its non-negative
// result, or -errno.
#pragma once

#include <linux/kvm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace kvm_ppc {

// The widest register that POWER has, in bytes.
constexpr size_t kMaxRegisterSize = 16;

// How many bytes the kernel copies for this register id, by the size bits in it.
constexpr size_t RegisterSize(uint64_t id) {
  return size_t{1} << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

int Open(const char* path);
int Close(int fd);
int CheckExtension(int fd, unsigned long extension);
int CreateVm(int fd, unsigned long type);
int CreateVcpu(int fd, unsigned long id);

// In the header, so that they are inlined into the loop over a batch.

inline int OneReg(int fd, unsigned long request, uint64_t id, void* value) {
  kvm_one_reg reg = {id, reinterpret_cast<uintptr_t>(value)};
  // Not ioctl(): on POWER, glibc's first compares the request with those for terminals.
  const long returned = syscall(SYS_ioctl, fd, request, &reg);
  return returned < 0 ? -errno : returned;
}

// `value` must have room for RegisterSize(id) bytes.
inline int GetOneReg(int fd, uint64_t id, void* value) {
  return OneReg(fd, KVM_GET_ONE_REG, id, value);
}

inline int SetOneReg(int fd, uint64_t id, void* value) {
  return OneReg(fd, KVM_SET_ONE_REG, id, value);
}

}  // namespace kvm_ppc
