#include "kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace kvm_ppc {

// Checks the ids that lib/registers.ts gives to the time registers. The header of another processor
// does not have them.
#ifdef KVM_REG_PPC_TB_OFFSET
static_assert(KVM_REG_PPC_TB_OFFSET == 0x103000000000009cULL);
static_assert(KVM_REG_PPC_DEC_EXPIRY == 0x10300000000000beULL);
static_assert(KVM_REG_PPC_VTB == 0x10300000000000aeULL);
static_assert(KVM_REG_PPC_PURR == 0x103000000000000aULL);
static_assert(KVM_REG_PPC_SPURR == 0x103000000000000bULL);
#endif

namespace {

int Result(int returned) {
  return returned < 0 ? -errno : returned;
}

}  // namespace

int Open(const char* path) {
  return Result(open(path, O_RDWR | O_CLOEXEC));
}

int Close(int fd) {
  return Result(close(fd));
}

int CheckExtension(int fd, unsigned long extension) {
  return Result(ioctl(fd, KVM_CHECK_EXTENSION, extension));
}

int CreateVm(int fd, unsigned long type) {
  return Result(ioctl(fd, KVM_CREATE_VM, type));
}

int CreateVcpu(int fd, unsigned long id) {
  return Result(ioctl(fd, KVM_CREATE_VCPU, id));
}

}  // namespace kvm_ppc
