#include "open_files.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>

#include "kvm.h"

namespace kvm_ppc {

namespace {

// Signals are numbered from 1 to 64, and F_SETSIG takes each.
constexpr uint32_t kMarks = 64;

// The files of all environments by descriptor. A descriptor that one worker's file had may since
// have become that of another worker's file.
struct Table {
  std::mutex mutex;
  uint32_t last_id = 0;
  std::unordered_map<int, uint32_t> ids;
};

// The one table, which is never destroyed because workers may still run while the process exits.
Table& TheTable() {
  static auto* table = new Table;
  return *table;
}

long Mark(uint32_t id) {
  return 1 + id % kMarks;
}

// The numbers are for a direct system call: glibc's fcntl would need glibc 2.28 in programs with
// 64-bit file offsets. They are written out because libc defines the macros only for _GNU_SOURCE.
constexpr int kSetSignal = 10;  // F_SETSIG
constexpr int kGetSignal = 11;  // F_GETSIG

}  // namespace

OpenFiles::~OpenFiles() {
  for (const auto& [fd, id] : ids_) {
    if (IdOf(fd) == id) Close(fd);
  }
}

int OpenFiles::Opened(int result) {
  if (result < 0) return result;
  Table& table = TheTable();
  const std::lock_guard<std::mutex> lock(table.mutex);
  if (++table.last_id == 0) table.last_id = 1;
  ids_[result] = table.ids[result] = table.last_id;
  syscall(SYS_fcntl, result, kSetSignal, Mark(table.last_id));
  return result;
}

void OpenFiles::Forget(int fd) {
  if (ids_.erase(fd) == 0) return;
  Table& table = TheTable();
  const std::lock_guard<std::mutex> lock(table.mutex);
  table.ids.erase(fd);
}

uint32_t OpenFiles::IdOf(int fd) const {
  const auto mine = ids_.find(fd);
  if (mine == ids_.end()) return 0;
  {
    Table& table = TheTable();
    const std::lock_guard<std::mutex> lock(table.mutex);
    const auto latest = table.ids.find(fd);
    if (latest == table.ids.end() || latest->second != mine->second) return 0;
  }
  return syscall(SYS_fcntl, fd, kGetSignal, 0L) == Mark(mine->second) ? mine->second : 0;
}

}  // namespace kvm_ppc
