#include "open_files.h"

#include "kvm.h"

namespace kvm_ppc {

OpenFiles::~OpenFiles() {
  for (const int fd : fds_) Close(fd);
}

int OpenFiles::Opened(int result) {
  if (result >= 0) fds_.insert(result);
  return result;
}

void OpenFiles::Forget(int fd) {
  fds_.erase(fd);
}

}  // namespace kvm_ppc
