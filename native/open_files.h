// The files that a Node environment has opened and not closed.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace kvm_ppc {

// Remembers which descriptors belong to files that were opened here. A worker may be terminated at
// any time while the process goes on: the destructor closes the files that the worker left open.
//
// Other code of the process may close such a descriptor directly. Its number may then become that
// of another file, which must not be closed. The kernel does not help to tell them apart: all files
// of KVM have the same inode and the same /proc/self/fdinfo, and the name of the link has the
// vCPU's id but not its VM. kcmp(2) would need a second descriptor of each file. So each file that
// is opened here is marked by a setting of the open file itself that KVM ignores: the signal of
// F_SETSIG (fcntl(2)), which is 0 in files of other code.
class OpenFiles {
 public:
  OpenFiles() = default;
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles();

  // Takes the result of a call that opens a file. Remembers and marks the file if it is a
  // descriptor and not -errno. Returns the result.
  int Opened(int result);
  // Call it before the file is closed: immediately afterwards another thread may get the same
  // number.
  void Forget(int fd);
  // The id of the file, which is above 0 and unique in the process; 0 if `fd` is not a file that
  // was opened here and is still open.
  uint32_t IdOf(int fd) const;

 private:
  std::unordered_map<int, uint32_t> ids_;
};

}  // namespace kvm_ppc
