// A guest of KVM on POWER with nothing in it but one of the programs of programs.h: just enough of
// a virtual machine monitor to see time from inside.
#pragma once

#include <linux/kvm.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace kvm_ppc_guest {

enum class Program { kWatch, kLeavingWatch, kDecrementer, kAsk };

constexpr size_t kMemorySize = 16 << 20;
constexpr size_t kBlockSize = 0x1000;
constexpr uint64_t kBlocksAddress = 0x200000;
constexpr int kMaxVcpus = (kMemorySize - kBlocksAddress) / kBlockSize;

class Guest {
 public:
  // Throws std::runtime_error, as all of these do.
  Guest(int vcpus, Program program);
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // Each vCPU runs on a thread of its own, which waits for it from the beginning, until Stop. With
  // a timebase of the host, modulo 2^64, each thread waits for it here, and runs its vCPU from then
  // on.
  void Start(std::optional<uint64_t> at = std::nullopt);
  void Stop();

  int VcpuCount() const {
    return static_cast<int>(vcpus_.size());
  }
  int VcpuFd(int index) const {
    return vcpus_.at(index)->fd;
  }
  // Adds a vCPU that starts the program from the beginning. The guest must be stopped.
  void AddVcpu();
  // Runs one vCPU of a guest that asks, until it leaves: what it has read of the timebase.
  uint64_t Ask(int index);
  uint8_t* memory() {
    return memory_;
  }
  kvm_regs Regs(int index);
  void SetRegs(int index, const kvm_regs& regs);

 private:
  struct Vcpu {
    explicit Vcpu(size_t run_size) : run_size(run_size) {}
    ~Vcpu();

    const size_t run_size;
    int fd = -1;
    kvm_run* run = nullptr;
    std::thread thread;
    std::string failure;
  };

  void Open(int vcpus, Program program);
  void Release();
  void StartThread(Vcpu& vcpu);
  void Serve(Vcpu& vcpu, uint64_t served);
  void WaitFor(uint64_t timebase) const;
  void Run(Vcpu& vcpu);
  void Load(Program program);

  int kvm_ = -1;
  int vm_ = -1;
  size_t run_size_ = 0;
  uint8_t* memory_ = nullptr;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
  std::atomic<bool> stopping_{false};

  // Guarded by mutex_: how often the guest was started and when the last start is due, how many
  // vCPUs run, whether it is over.
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t starts_ = 0;
  std::optional<uint64_t> start_at_;
  int running_ = 0;
  bool over_ = false;
};

}  // namespace kvm_ppc_guest
