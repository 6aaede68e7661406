// The guest as a JavaScript class. A failure of it becomes an error with the call and its errno.

#include <napi.h>

#include <cstring>
#include <stdexcept>

#include "guest.h"

namespace {

using kvm_ppc_guest::kMemorySize;
using kvm_ppc_guest::Program;

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
    guest_ = std::make_unique<kvm_ppc_guest::Guest>(vcpus, ProgramOf(program));
  }

 private:
  static Program ProgramOf(const std::string& name) {
    if (name == "watch") return Program::kWatch;
    if (name == "leaving watch") return Program::kLeavingWatch;
    if (name == "decrementer") return Program::kDecrementer;
    if (name == "ask") return Program::kAsk;
    throw std::runtime_error("there is no program " + name);
  }

  kvm_ppc_guest::Guest& guest(const Napi::CallbackInfo& info) {
    if (!guest_) throw Napi::Error::New(info.Env(), "the guest is closed");
    return *guest_;
  }

  void Start(const Napi::CallbackInfo& info) {
    if (info[0].IsUndefined()) return guest(info).Start();
    bool lossless = false;
    const uint64_t at = info[0].IsBigInt() ? info[0].As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    if (!lossless) throw Napi::TypeError::New(info.Env(), "at must be a bigint, u64");
    guest(info).Start(at);
  }

  void Stop(const Napi::CallbackInfo& info) {
    guest(info).Stop();
  }

  void AddVcpu(const Napi::CallbackInfo& info) {
    guest(info).AddVcpu();
  }

  Napi::Value Ask(const Napi::CallbackInfo& info) {
    const uint64_t timebase = guest(info).Ask(info[0].As<Napi::Number>());
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
    kvm_regs regs = guest(info).Regs(info[0].As<Napi::Number>());
    return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<uint8_t*>(&regs), sizeof regs);
  }

  void SetRegs(const Napi::CallbackInfo& info) {
    const auto bytes = info[1].As<Napi::Uint8Array>();
    kvm_regs regs;
    if (bytes.ByteLength() != sizeof regs) throw Napi::Error::New(info.Env(), "not a kvm_regs");
    memcpy(&regs, bytes.Data(), sizeof regs);
    guest(info).SetRegs(info[0].As<Napi::Number>(), regs);
  }

  // A word of a vCPU's block, which the guest may be writing: aligned, so never half of it.
  volatile uint64_t* WordAt(const Napi::CallbackInfo& info) {
    const int64_t vcpu = info[0].As<Napi::Number>().Int64Value();
    const int64_t offset = info[1].As<Napi::Number>().Int64Value();
    if (vcpu < 0 || vcpu >= guest(info).VcpuCount() || offset < 0 || offset % 8 != 0 ||
        offset >= static_cast<int64_t>(kvm_ppc_guest::kBlockSize)) {
      throw Napi::RangeError::New(info.Env(), "no such word");
    }
    return reinterpret_cast<volatile uint64_t*>(guest(info).memory() +
                                                kvm_ppc_guest::kBlocksAddress +
                                                vcpu * kvm_ppc_guest::kBlockSize + offset);
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

  std::unique_ptr<kvm_ppc_guest::Guest> guest_;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Guest", Guest::Define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
