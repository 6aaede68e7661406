// The files that an environment has opened and not closed.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace kvm_ppc {

// Which numbers belong to files that were opened here. A worker may be terminated at any time, and
// the process goes on: the destructor closes what the worker left open.
//
// Other code of the process may close such a number directly, and the number may then become
// another file's, which must not be closed. The kernel tells little: all files of KVM have the same
// inode, their /proc/self/fdinfo is the same, and the link's name has the vCPU's id but not its VM.
// kcmp(2) compares two descriptors, so a second one would have to be kept. So each file that is
// opened here is marked by a setting of the open file itself that KVM ignores: the signal of
// F_SETSIG (fcntl(2)). Files of other code have 0 there.
class OpenFiles {
 public:
  OpenFiles() = default;
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles();

  // Remembers and marks the file if `result`, of a call that opens one, is its descriptor and not
  // -errno.
  int Opened(int result);
  // To be called before the file is closed: its number may be another thread's immediately
  // afterwards.
  void Forget(int fd);
  // The number above 0 that only this file of the process has, or 0 if `fd` is not a file that was
  // opened here and is still open.
  uint32_t IdOf(int fd) const;

 private:
  std::unordered_map<int, uint32_t> ids_;
};

}  // namespace kvm_ppc
