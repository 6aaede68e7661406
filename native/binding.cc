// Converts arguments and results between JavaScript and C++, for the calls that are not in
// binding_hot.cc. Every argument is checked here again, although TypeScript has checked it: a wrong
// length would let the kernel write past the end of a buffer. All checks come before the system
// call.

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "binding_async.h"
#include "binding_hot.h"
#include "kvm.h"
#include "open_files.h"
#include "timebase.h"

namespace {

using kvm_ppc::Batch;
using kvm_ppc::BatchSize;
using kvm_ppc::BoundBatches;
using kvm_ppc::BoundWords;
using kvm_ppc::kEntrySize;
using kvm_ppc::OpenFiles;
using kvm_ppc::RegisterSize;

// A batch of 2^20 entries: 200 guests of 1024 vCPUs.
constexpr size_t kMaxEntries = 1 << 20;

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

void CheckCall(const Napi::CallbackInfo& info, size_t count) {
  // `new fn()` discards the result: a descriptor would leak. For a plain call Node gives no
  // new.target, and Deno gives undefined (denoland/deno #13633).
  const Napi::Value target = info.NewTarget();
  if (!target.IsEmpty() && !target.IsUndefined()) {
    throw WrongType(info.Env(), "this function is not a constructor");
  }
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

// The memory of a typed array, valid until JavaScript runs again.
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

// Defines a property. Assigning it could call a setter of Object.prototype instead.
void Define(Napi::Object object, const char* name, Napi::Value value) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_default_jsproperty));
}

// The data that the functions of one environment share.
struct Shared {
  std::shared_ptr<OpenFiles> files = std::make_shared<OpenFiles>();
  std::shared_ptr<BoundBatches> batches = std::make_shared<BoundBatches>();
  std::shared_ptr<kvm_ppc::Background> background;
};

Shared& SharedOf(const Napi::CallbackInfo& info) {
  return *static_cast<Shared*>(info.Data());
}

Napi::Value Open(const Napi::CallbackInfo& info) {
  CheckCall(info, 1);
  if (!info[0].IsString()) throw WrongType(info.Env(), "path must be a string");
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  if (path.find('\0') != std::string::npos) {
    throw OutOfRange(info.Env(), "path must be free of null bytes");
  }
  return Napi::Number::New(info.Env(), SharedOf(info).files->Opened(kvm_ppc::Open(path.c_str())));
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  CheckCall(info, 1);
  const int fd = Integer(info, 0, "fd");
  SharedOf(info).files->Forget(fd);
  return Napi::Number::New(info.Env(), kvm_ppc::Close(fd));
}

Napi::Value FileId(const Napi::CallbackInfo& info) {
  CheckCall(info, 1);
  return Napi::Number::New(info.Env(), SharedOf(info).files->IdOf(Integer(info, 0, "fd")));
}

// The calls that take a file descriptor and a number.
int OnFd(const Napi::CallbackInfo& info, int (*call)(int, unsigned long)) {
  CheckCall(info, 2);
  const int fd = Integer(info, 0, "fd");
  const int32_t argument = Integer(info, 1, "the second argument");
  return call(fd, static_cast<unsigned long>(argument));
}

Napi::Value CheckExtension(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), OnFd(info, kvm_ppc::CheckExtension));
}

template <int (*call)(int, unsigned long)>
Napi::Value Create(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), SharedOf(info).files->Opened(OnFd(info, call)));
}

template <typename Call>
Napi::Value OneReg(const Napi::CallbackInfo& info, Call call) {
  CheckCall(info, 3);
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

// Bound memory must keep its address whatever JavaScript does. Only a SharedArrayBuffer cannot be
// detached, transferred or shrunk.
void CheckShared(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (info[index].As<Napi::TypedArray>().ArrayBuffer().IsArrayBuffer()) {
    throw WrongType(info.Env(), std::string(name) + " must be on a SharedArrayBuffer");
  }
}

Batch BatchIn(const Napi::CallbackInfo& info, size_t index) {
  const auto memory = Array<uint8_t>(info, index, "memory", napi_uint8_array, "Uint8Array");
  CheckShared(info, index, "memory");
  const size_t count = memory.length / kEntrySize;
  if (memory.length != BatchSize(count) || count > kMaxEntries) {
    throw OutOfRange(info.Env(), "memory must be of up to 2^20 entries of 32 bytes, and 8 bytes");
  }
  if (reinterpret_cast<uintptr_t>(memory.data) % alignof(uint64_t) != 0) {
    throw OutOfRange(info.Env(), "memory must be aligned to 8 bytes");
  }
  return {memory.data, count};
}

napi_ref Reference(Napi::Value value) {
  napi_ref reference;
  const napi_status status = napi_create_reference(value.Env(), value, 1, &reference);
  NAPI_THROW_IF_FAILED(value.Env(), status, nullptr);
  return reference;
}

// Deletes the data and its reference to the memory when the object is garbage-collected.
template <typename Data>
void DeleteWith(Napi::Value object, std::unique_ptr<Data> data) {
  const auto finalize = [](napi_env env, void* data, void*) {
    const std::unique_ptr<Data> owned(static_cast<Data*>(data));
    napi_delete_reference(env, owned->memory);
  };
  const napi_status status =
      napi_add_finalizer(object.Env(), object, data.get(), finalize, nullptr, nullptr);
  NAPI_THROW_IF_FAILED_VOID(object.Env(), status);
  data.release();
}

struct BatchHandle {
  ~BatchHandle() {
    batches->Remove(index);
  }

  napi_ref memory;
  std::shared_ptr<BoundBatches> batches;
  uint32_t index;
};

// Returns an object with the index of the batch, which is valid until the object is
// garbage-collected.
Napi::Value BindBatch(const Napi::CallbackInfo& info) {
  CheckCall(info, 1);
  const Batch batch = BatchIn(info, 0);
  const auto& batches = SharedOf(info).batches;
  const napi_ref memory = Reference(info[0]);
  const uint32_t index = batches->Add(batch);
  std::unique_ptr<BatchHandle> handle(new BatchHandle{memory, batches, index});
  auto object = Napi::Object::New(info.Env());
  DeleteWith(object, std::move(handle));
  Define(object, "index", Napi::Number::New(info.Env(), index));
  return object;
}

Napi::Value BindCalls(const Napi::CallbackInfo& info) {
  CheckCall(info, 1);
  const Napi::Env env = info.Env();
  const auto words = Array<uint64_t>(info, 0, "words", napi_biguint64_array, "BigUint64Array");
  CheckShared(info, 0, "words");
  if (words.length != kvm_ppc::kBoundWords) throw OutOfRange(env, "words must have 4 elements");
  auto calls = Napi::Object::New(env);
  const auto add = [&](const char* name, napi_callback call) {
    auto bound = std::make_unique<BoundWords>(
        BoundWords{Reference(info[0]), words.data, SharedOf(info).batches});
    napi_value function;
    const napi_status status =
        napi_create_function(env, name, NAPI_AUTO_LENGTH, call, bound.get(), &function);
    NAPI_THROW_IF_FAILED_VOID(env, status);
    DeleteWith({env, function}, std::move(bound));
    Define(calls, name, Napi::Value(env, function));
  };
  add("getOneRegs", kvm_ppc::GetBound);
  add("setOneRegs", kvm_ppc::SetBound);
  add("timebase", kvm_ppc::TimebaseBound);
  add("sample", kvm_ppc::SampleBound);
  add("clockState", kvm_ppc::ClockStateBound);
  return calls;
}

template <kvm_ppc::OneRegCall call, kvm_ppc::Brings brings>
Napi::Value OffThread(const Napi::CallbackInfo& info) {
  CheckCall(info, 1);
  const Batch batch = BatchIn(info, 0);
  return kvm_ppc::InBackground(SharedOf(info).background, info[0].As<Napi::TypedArray>(), batch,
                               kvm_ppc::CallForEach<call>, brings);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* shared = new Shared;
  shared->background = kvm_ppc::MakeBackground(env, shared->files);
  env.AddCleanupHook([shared] { delete shared; });
  const auto add = [&](const char* name, Napi::Value (*call)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, call, name, shared));
  };
  add("open", Open);
  add("close", Close);
  add("fileId", FileId);
  add("checkExtension", CheckExtension);
  add("createVm", Create<kvm_ppc::CreateVm>);
  add("createVcpu", Create<kvm_ppc::CreateVcpu>);
  add("getOneReg", GetOneReg);
  add("setOneReg", SetOneReg);
  add("bindBatch", BindBatch);
  add("bindCalls", BindCalls);
  add("getOneRegsAsync", OffThread<kvm_ppc::GetOneReg, kvm_ppc::Brings::kValuesAndResults>);
  add("setOneRegsAsync", OffThread<kvm_ppc::SetOneReg, kvm_ppc::Brings::kResults>);
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
