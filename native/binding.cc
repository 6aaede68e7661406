// JavaScript's arguments in, results out. Every argument is checked here again, whatever TypeScript
// said of it: a wrong length would let the kernel write past the end of a buffer. No check comes
// after a system call.

#include <napi.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <string>

#include "kvm.h"
#include "timebase.h"

namespace {

using kvm_ppc::kMaxRegisterSize;
using kvm_ppc::RegisterSize;

Napi::Error WithCode(Napi::Error error, const char* code) {
  error.Set("code", Napi::String::New(error.Env(), code));
  return error;
}

Napi::Error WrongType(Napi::Env env, const std::string& message) {
  return WithCode(Napi::TypeError::New(env, message), "ERR_INVALID_ARG_TYPE");
}

Napi::Error OutOfRange(Napi::Env env, const std::string& message) {
  return WithCode(Napi::RangeError::New(env, message), "ERR_OUT_OF_RANGE");
}

void CheckCount(const Napi::CallbackInfo& info, size_t count) {
  if (info.Length() == count) return;
  throw WrongType(info.Env(), std::to_string(count) + " arguments are needed, not " +
                                  std::to_string(info.Length()));
}

// A file descriptor, an id, a type, a capability: from 0 to 2^31 - 1.
int32_t Integer(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsNumber()) throw WrongType(info.Env(), std::string(name) + " must be a number");
  const double value = info[index].As<Napi::Number>().DoubleValue();
  if (!(value >= 0 && value <= INT32_MAX) || value != std::floor(value)) {
    throw OutOfRange(info.Env(), std::string(name) + " must be an integer from 0 to 2147483647");
  }
  return static_cast<int32_t>(value);
}

uint64_t RegisterId(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsBigInt()) throw WrongType(info.Env(), "id must be a bigint");
  bool lossless = false;
  const uint64_t id = info[index].As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) throw OutOfRange(info.Env(), "id must be from 0 to 2^64 - 1");
  return id;
}

template <typename T>
struct Span {
  T* data;
  size_t length;
};

// The memory behind a typed array, good until JavaScript runs again.
template <typename T>
Span<T> Array(const Napi::CallbackInfo& info, size_t index, const char* name,
              napi_typedarray_type wanted, const char* wanted_name) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (!info[index].IsTypedArray() ||
      napi_get_typedarray_info(info.Env(), info[index], &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != wanted) {
    throw WrongType(info.Env(), std::string(name) + " must be a " + wanted_name);
  }
  return {static_cast<T*>(data), length};
}

Napi::Value Open(const Napi::CallbackInfo& info) {
  CheckCount(info, 1);
  if (!info[0].IsString()) throw WrongType(info.Env(), "path must be a string");
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  if (path.find('\0') != std::string::npos) {
    throw OutOfRange(info.Env(), "path must be free of null bytes");
  }
  return Napi::Number::New(info.Env(), kvm_ppc::Open(path.c_str()));
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  CheckCount(info, 1);
  return Napi::Number::New(info.Env(), kvm_ppc::Close(Integer(info, 0, "fd")));
}

// The calls that take a file descriptor and a number.
template <int (*call)(int, unsigned long)>
Napi::Value OnFd(const Napi::CallbackInfo& info) {
  CheckCount(info, 2);
  const int fd = Integer(info, 0, "fd");
  const int32_t argument = Integer(info, 1, "the second argument");
  return Napi::Number::New(info.Env(), call(fd, static_cast<unsigned long>(argument)));
}

template <typename Call>
Napi::Value OneReg(const Napi::CallbackInfo& info, Call call) {
  CheckCount(info, 3);
  const int fd = Integer(info, 0, "fd");
  const uint64_t id = RegisterId(info, 1);
  const auto value = Array<uint8_t>(info, 2, "value", napi_uint8_array, "Uint8Array");
  if (value.length != RegisterSize(id)) {
    throw OutOfRange(info.Env(), "value must be " + std::to_string(RegisterSize(id)) +
                                     " bytes long, as the id says");
  }
  return Napi::Number::New(info.Env(), call(fd, id, value.data));
}

Napi::Value GetOneReg(const Napi::CallbackInfo& info) {
  return OneReg(info, kvm_ppc::GetOneReg);
}

Napi::Value SetOneReg(const Napi::CallbackInfo& info) {
  return OneReg(info, kvm_ppc::SetOneReg);
}

template <typename Call>
Napi::Value OneRegs(const Napi::CallbackInfo& info, Call call) {
  CheckCount(info, 4);
  const auto fds = Array<int32_t>(info, 0, "fds", napi_int32_array, "Int32Array");
  const auto ids = Array<uint64_t>(info, 1, "ids", napi_biguint64_array, "BigUint64Array");
  const auto values = Array<uint8_t>(info, 2, "values", napi_uint8_array, "Uint8Array");
  const auto results = Array<int32_t>(info, 3, "results", napi_int32_array, "Int32Array");
  const size_t count = fds.length;
  if (ids.length != count || results.length != count || values.length != count * kMaxRegisterSize) {
    throw OutOfRange(info.Env(),
                     "fds, ids and results must be of one length, and values 16 times as long");
  }
  for (size_t i = 0; i < count; i++) {
    if (RegisterSize(ids.data[i]) > kMaxRegisterSize) {
      throw OutOfRange(info.Env(), "ids[" + std::to_string(i) + "] must be of 128 bits at most");
    }
  }
  for (size_t i = 0; i < count; i++) {
    // Read once: another thread may share this memory, or `results` may lie over `ids`, and the
    // size that is checked must be the size that the kernel copies.
    const uint64_t id = *const_cast<volatile uint64_t*>(&ids.data[i]);
    results.data[i] = RegisterSize(id) > kMaxRegisterSize
                          ? -EINVAL
                          : call(fds.data[i], id, values.data + i * kMaxRegisterSize);
  }
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value GetOneRegs(const Napi::CallbackInfo& info) {
  return OneRegs(info, kvm_ppc::GetOneReg);
}

Napi::Value SetOneRegs(const Napi::CallbackInfo& info) {
  return OneRegs(info, kvm_ppc::SetOneReg);
}

Napi::Value Timebase(const Napi::CallbackInfo& info) {
  CheckCount(info, 0);
  uint64_t ticks;
  const int result = kvm_ppc::Timebase(&ticks);
  if (result < 0) return Napi::BigInt::New(info.Env(), static_cast<int64_t>(result));
  return Napi::BigInt::New(info.Env(), ticks);
}

Napi::Value TakeSample(const Napi::CallbackInfo& info) {
  CheckCount(info, 1);
  const auto into = Array<uint64_t>(info, 0, "into", napi_biguint64_array, "BigUint64Array");
  if (into.length != 3) throw OutOfRange(info.Env(), "into must have 3 elements");
  kvm_ppc::Sample sample{};
  const int result = kvm_ppc::TakeSample(&sample);
  if (result == 0) {
    into.data[0] = sample.timebase;
    into.data[1] = static_cast<uint64_t>(sample.time_of_day_ns);
    into.data[2] = sample.half_width;
  }
  return Napi::Number::New(info.Env(), result);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*call)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, call, name));
  };
  add("open", Open);
  add("close", Close);
  add("checkExtension", OnFd<kvm_ppc::CheckExtension>);
  add("createVm", OnFd<kvm_ppc::CreateVm>);
  add("createVcpu", OnFd<kvm_ppc::CreateVcpu>);
  add("getOneReg", GetOneReg);
  add("setOneReg", SetOneReg);
  add("getOneRegs", GetOneRegs);
  add("setOneRegs", SetOneRegs);
  add("timebase", Timebase);
  add("sample", TakeSample);
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
