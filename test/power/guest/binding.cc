// The test guest as a JavaScript class, and the host's clock for tests that have to set it.

#include <napi.h>
#include <time.h>

#include <cstring>
#include <functional>
#include <stdexcept>

#include "guest.h"

namespace {

using test_guest::kMemorySize;
using test_guest::Program;

class Guest : public Napi::ObjectWrap<Guest> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Guest",
                       {
                           InstanceMethod<&Guest::Start>("start"),
                           InstanceMethod<&Guest::Stop>("stop"),
                           InstanceMethod<&Guest::AddVcpu>("addVcpu"),
                           InstanceMethod<&Guest::Ask>("ask"),
                           InstanceMethod<&Guest::VcpuFds>("vcpuFds"),
                           InstanceMethod<&Guest::Memory>("memory"),
                           InstanceMethod<&Guest::SetMemory>("setMemory"),
                           InstanceMethod<&Guest::Regs>("regs"),
                           InstanceMethod<&Guest::SetRegs>("setRegs"),
                           InstanceMethod<&Guest::Word>("word"),
                           InstanceMethod<&Guest::SetWord>("setWord"),
                           InstanceMethod<&Guest::Close>("close"),
                       });
  }

  explicit Guest(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Guest>(info) {
    const int vcpus = info[0].As<Napi::Number>();
    const std::string program = info[1].As<Napi::String>();
    Try(info, [&] { guest_ = std::make_unique<test_guest::Guest>(vcpus, ProgramOf(program)); });
  }

 private:
  static void Try(const Napi::CallbackInfo& info, const std::function<void()>& step) {
    try {
      step();
    } catch (const std::exception& error) {
      throw Napi::Error::New(info.Env(), error.what());
    }
  }

  static Program ProgramOf(const std::string& name) {
    if (name == "watch") return Program::kWatch;
    if (name == "leaving watch") return Program::kLeavingWatch;
    if (name == "decrementer") return Program::kDecrementer;
    if (name == "ask") return Program::kAsk;
    throw std::runtime_error("there is no program " + name);
  }

  test_guest::Guest& guest(const Napi::CallbackInfo& info) {
    if (!guest_) throw Napi::Error::New(info.Env(), "the guest is closed");
    return *guest_;
  }

  void Start(const Napi::CallbackInfo& info) {
    Try(info, [&] { guest(info).Start(); });
  }

  void Stop(const Napi::CallbackInfo& info) {
    Try(info, [&] { guest(info).Stop(); });
  }

  void AddVcpu(const Napi::CallbackInfo& info) {
    Try(info, [&] { guest(info).AddVcpu(); });
  }

  Napi::Value Ask(const Napi::CallbackInfo& info) {
    uint64_t timebase = 0;
    Try(info, [&] { timebase = guest(info).Ask(info[0].As<Napi::Number>()); });
    return Napi::BigInt::New(info.Env(), timebase);
  }

  Napi::Value VcpuFds(const Napi::CallbackInfo& info) {
    Napi::Array fds = Napi::Array::New(info.Env());
    for (int i = 0; i < guest(info).VcpuCount(); i++) fds.Set(i, guest(info).VcpuFd(i));
    return fds;
  }

  Napi::Value Memory(const Napi::CallbackInfo& info) {
    return Napi::Buffer<uint8_t>::Copy(info.Env(), guest(info).memory(), kMemorySize);
  }

  void SetMemory(const Napi::CallbackInfo& info) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    if (bytes.ByteLength() != kMemorySize) throw Napi::Error::New(info.Env(), "16 MiB are needed");
    memcpy(guest(info).memory(), bytes.Data(), kMemorySize);
  }

  Napi::Value Regs(const Napi::CallbackInfo& info) {
    kvm_regs regs;
    Try(info, [&] { regs = guest(info).Regs(info[0].As<Napi::Number>()); });
    return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<uint8_t*>(&regs), sizeof regs);
  }

  void SetRegs(const Napi::CallbackInfo& info) {
    const auto bytes = info[1].As<Napi::Uint8Array>();
    kvm_regs regs;
    if (bytes.ByteLength() != sizeof regs) throw Napi::Error::New(info.Env(), "not a kvm_regs");
    memcpy(&regs, bytes.Data(), sizeof regs);
    Try(info, [&] { guest(info).SetRegs(info[0].As<Napi::Number>(), regs); });
  }

  // A word of a vCPU's block, which the guest may be writing: aligned, so never half of it.
  volatile uint64_t* WordAt(const Napi::CallbackInfo& info) {
    const int64_t vcpu = info[0].As<Napi::Number>().Int64Value();
    const int64_t offset = info[1].As<Napi::Number>().Int64Value();
    if (vcpu < 0 || vcpu >= guest(info).VcpuCount() || offset < 0 || offset % 8 != 0 ||
        offset >= static_cast<int64_t>(test_guest::kBlockSize)) {
      throw Napi::RangeError::New(info.Env(), "no such word");
    }
    return reinterpret_cast<volatile uint64_t*>(guest(info).memory() + test_guest::kBlocksAddress +
                                                vcpu * test_guest::kBlockSize + offset);
  }

  Napi::Value Word(const Napi::CallbackInfo& info) {
    const uint64_t value = *WordAt(info);
    return Napi::BigInt::New(info.Env(), value);
  }

  void SetWord(const Napi::CallbackInfo& info) {
    bool lossless;
    *WordAt(info) = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
  }

  void Close(const Napi::CallbackInfo&) {
    guest_.reset();
  }

  std::unique_ptr<test_guest::Guest> guest_;
};

int64_t Nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

Napi::Value TimeOfDay(const Napi::CallbackInfo& info) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return Napi::BigInt::New(info.Env(), Nanoseconds(now));
}

// By a difference, so that the time that the call itself takes does not count.
void StepTimeOfDay(const Napi::CallbackInfo& info) {
  bool lossless;
  const int64_t by = info[0].As<Napi::BigInt>().Int64Value(&lossless);
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t then = Nanoseconds(now) + by;
  now.tv_sec = then / 1000000000;
  now.tv_nsec = then % 1000000000;
  if (clock_settime(CLOCK_REALTIME, &now) < 0) {
    throw Napi::Error::New(info.Env(), "the clock could not be set");
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Guest", Guest::Define(env));
  exports.Set("timeOfDay", Napi::Function::New<TimeOfDay>(env));
  exports.Set("stepTimeOfDay", Napi::Function::New<StepTimeOfDay>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
