// The files that an environment has opened and not closed.
#pragma once

#include <unordered_set>

namespace kvm_ppc {

// A worker may be terminated at any time, and the process goes on: what it left open is closed when
// this goes.
class OpenFiles {
 public:
  OpenFiles() = default;
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles();

  // What a call that opens a file has returned: a file descriptor, or -errno.
  int Opened(int result);
  // Before it is closed: its number may be another thread's the moment after.
  void Forget(int fd);

 private:
  std::unordered_set<int> fds_;
};

}  // namespace kvm_ppc
