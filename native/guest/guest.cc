#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "programs.h"

namespace kvm_ppc_guest {

namespace {

constexpr uint64_t kCodeAddress = 0x100000;
constexpr uint64_t kDecrementerVector = 0x900;
// 64-bit, little-endian; real mode, interrupts off.
constexpr uint64_t kMsr = 0x8000000000000001;

// Breaks KVM_RUN off. Not SIGUSR1, which Node keeps for its debugger.
int KickSignal() {
  return SIGRTMIN + 3;
}

int Check(int result, const char* call) {
  if (result >= 0) return result;
  throw std::runtime_error(std::string(call) + ": " + strerror(errno));
}

// An aligned load waits for a step of TB_OFFSET and a millisecond at most. A start that is further
// ahead is an error of the caller's, for which no thread should wait.
constexpr int64_t kFurthestStart = (int64_t{1} << 24) + (int64_t{1} << 19);

// How many ticks of the host's timebase are left until it reaches a value, modulo 2^64.
int64_t TicksUntil(uint64_t timebase) {
  return static_cast<int64_t>(timebase - __builtin_ppc_get_timebase());
}

// The timebase has 512 MHz on all processors since POWER6.
constexpr int64_t kTicksPerMicrosecond = 512;
// From here on a thread asks without pause: a sleep may end this much later than it should.
constexpr int64_t kSpinTicks = 500 * kTicksPerMicrosecond;
// A stop that comes just before a sleep is noticed after it.
constexpr int64_t kLongestSleepTicks = 2000 * kTicksPerMicrosecond;

}  // namespace

Guest::Vcpu::~Vcpu() {
  if (run) munmap(run, run_size);
  if (fd >= 0) close(fd);
}

Guest::Guest(int vcpus, Program program) {
  try {
    Open(vcpus, program);
  } catch (...) {
    // No destructor runs for what was not made.
    Release();
    throw;
  }
}

Guest::~Guest() {
  Release();
}

void Guest::Open(int vcpus, Program program) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(KickSignal(), &action, nullptr);

  kvm_ = Check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
  vm_ = Check(ioctl(kvm_, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  run_size_ = Check(ioctl(kvm_, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
  void* memory =
      mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap of the guest's memory failed");
  memory_ = static_cast<uint8_t*>(memory);
  kvm_userspace_memory_region region = {};
  region.memory_size = kMemorySize;
  region.userspace_addr = reinterpret_cast<uintptr_t>(memory_);
  Check(ioctl(vm_, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
  Load(program);
  for (int i = 0; i < vcpus; i++) AddVcpu();
}

void Guest::Release() {
  try {
    Stop();
  } catch (const std::runtime_error&) {
    // It failed while it ran; whoever wanted to know has asked.
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  for (auto& vcpu : vcpus_) vcpu->thread.join();
  vcpus_.clear();
  if (memory_) munmap(memory_, kMemorySize);
  if (vm_ >= 0) close(vm_);
  if (kvm_ >= 0) close(kvm_);
}

void Guest::Load(Program program) {
  const auto put = [&](uint64_t address, const char* begin, const char* end) {
    memcpy(memory_ + address, begin, end - begin);
  };
  switch (program) {
    case Program::kWatch:
      put(kCodeAddress, guest_watch, guest_watch_end);
      break;
    case Program::kLeavingWatch:
      put(kCodeAddress, guest_leaving_watch, guest_leaving_watch_end);
      break;
    case Program::kDecrementer:
      put(kCodeAddress, guest_decrementer, guest_decrementer_handler);
      put(kDecrementerVector, guest_decrementer_handler, guest_decrementer_end);
      break;
    case Program::kAsk:
      put(kCodeAddress, guest_ask, guest_ask_end);
      break;
  }
}

uint64_t Guest::Ask(int index) {
  Vcpu& vcpu = *vcpus_.at(index);
  vcpu.run->immediate_exit = 0;
  for (;;) {
    const int result = ioctl(vcpu.fd, KVM_RUN, 0);
    if (result < 0 && errno == EINTR) continue;
    Check(result, "KVM_RUN");
    if (vcpu.run->exit_reason == KVM_EXIT_INTR) continue;
    if (vcpu.run->exit_reason == KVM_EXIT_PAPR_HCALL) break;
    throw std::runtime_error("KVM_RUN: exit reason " + std::to_string(vcpu.run->exit_reason));
  }
  vcpu.run->papr_hcall.ret = 0;
  return vcpu.run->papr_hcall.args[0];
}

void Guest::AddVcpu() {
  const int id = VcpuCount();
  if (id >= kMaxVcpus) throw std::runtime_error("the guest has no memory for another vCPU");
  auto vcpu = std::make_unique<Vcpu>(run_size_);
  vcpu->fd = Check(ioctl(vm_, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
  void* run = mmap(nullptr, run_size_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
  if (run == MAP_FAILED) throw std::runtime_error("mmap of kvm_run failed");
  vcpu->run = static_cast<kvm_run*>(run);
  kvm_enable_cap papr = {};
  papr.cap = KVM_CAP_PPC_PAPR;
  Check(ioctl(vcpu->fd, KVM_ENABLE_CAP, &papr), "KVM_CAP_PPC_PAPR");
  uint32_t online = 1;
  kvm_one_reg reg = {KVM_REG_PPC_ONLINE, reinterpret_cast<uintptr_t>(&online)};
  Check(ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg), "KVM_REG_PPC_ONLINE");
  kvm_regs regs = {};
  regs.pc = kCodeAddress;
  regs.msr = kMsr;
  regs.gpr[3] = kBlocksAddress + id * kBlockSize;
  Check(ioctl(vcpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
  std::lock_guard<std::mutex> lock(mutex_);
  vcpus_.reserve(id + 1);
  StartThread(*vcpu);
  vcpus_.push_back(std::move(vcpu));
}

void Guest::StartThread(Vcpu& vcpu) {
  // The new thread inherits the mask, so that signals go to Node's threads.
  sigset_t others, before;
  sigfillset(&others);
  sigdelset(&others, KickSignal());
  pthread_sigmask(SIG_SETMASK, &others, &before);
  try {
    vcpu.thread = std::thread([this, &vcpu, served = starts_] { Serve(vcpu, served); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Guest::Start(std::optional<uint64_t> at) {
  if (at && TicksUntil(*at) > kFurthestStart) {
    throw std::runtime_error("the timebase to start at is too far ahead of the host's");
  }
  std::lock_guard<std::mutex> lock(mutex_);
  if (running_ > 0) throw std::runtime_error("the guest runs already");
  start_at_ = at;
  for (auto& vcpu : vcpus_) vcpu->run->immediate_exit = 0;
  stopping_ = false;
  running_ = VcpuCount();
  starts_++;
  changed_.notify_all();
}

void Guest::Serve(Vcpu& vcpu, uint64_t served) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;; served++) {
    changed_.wait(lock, [&] { return starts_ > served || over_; });
    if (over_) return;
    const std::optional<uint64_t> at = start_at_;
    lock.unlock();
    if (at) WaitFor(*at);
    Run(vcpu);
    lock.lock();
    running_--;
    changed_.notify_all();
  }
}

void Guest::WaitFor(uint64_t timebase) const {
  for (int64_t left = TicksUntil(timebase); left > 0 && !stopping_; left = TicksUntil(timebase)) {
    if (left <= kSpinTicks) continue;
    const int64_t ticks = std::min(left - kSpinTicks, kLongestSleepTicks);
    const timespec pause = {0, static_cast<long>(ticks * 1000 / kTicksPerMicrosecond)};
    // The signal of Stop breaks it off.
    nanosleep(&pause, nullptr);
  }
}

void Guest::Run(Vcpu& vcpu) {
  while (!stopping_) {
    const int result = ioctl(vcpu.fd, KVM_RUN, 0);
    if (result < 0 && errno != EINTR) {
      vcpu.failure = std::string("KVM_RUN: ") + strerror(errno);
      return;
    }
    if (result == 0 && vcpu.run->exit_reason == KVM_EXIT_PAPR_HCALL) {
      vcpu.run->papr_hcall.ret = 0;
    } else if (result == 0 && vcpu.run->exit_reason != KVM_EXIT_INTR) {
      vcpu.failure = "KVM_RUN: exit reason " + std::to_string(vcpu.run->exit_reason);
      return;
    }
  }
}

void Guest::Stop() {
  std::unique_lock<std::mutex> lock(mutex_);
  stopping_ = true;
  for (auto& vcpu : vcpus_) {
    // The flag catches a signal that comes just before KVM_RUN.
    vcpu->run->immediate_exit = 1;
    if (running_ > 0) pthread_kill(vcpu->thread.native_handle(), KickSignal());
  }
  changed_.wait(lock, [&] { return running_ == 0; });
  for (auto& vcpu : vcpus_) {
    if (!vcpu->failure.empty()) throw std::runtime_error(vcpu->failure);
  }
}

kvm_regs Guest::Regs(int index) {
  kvm_regs regs;
  Check(ioctl(VcpuFd(index), KVM_GET_REGS, &regs), "KVM_GET_REGS");
  return regs;
}

void Guest::SetRegs(int index, const kvm_regs& regs) {
  Check(ioctl(VcpuFd(index), KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

}  // namespace kvm_ppc_guest
