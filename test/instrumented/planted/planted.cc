// The addon's own functions, called wrongly in ways that only a sanitizer notices. Built for
// `npm run test:sanitize` alone.

#include <node_api.h>

#include <memory>

#include "batch.h"
#include "timebase.h"

namespace {

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

// The Uint8Array that each function is given: the memory of a batch.
Bytes BytesOf(napi_env env, napi_callback_info info) {
  Bytes bytes;
  napi_value argument;
  void* data = nullptr;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_typedarray_info(env, argument, nullptr, &bytes.length, &data, nullptr, nullptr);
  bytes.data = static_cast<uint8_t*>(data);
  return bytes;
}

kvm_ppc::Batch BatchIn(const Bytes& bytes) {
  return {bytes.data, bytes.length / kvm_ppc::kEntrySize};
}

napi_value Nothing(napi_env env, napi_callback_info info) {
  kvm_ppc::CallForEach<kvm_ppc::GetOneReg>(BatchIn(BytesOf(env, info)));
  return nullptr;
}

// As if the length of JavaScript's array were not checked.
napi_value LongBatch(napi_env env, napi_callback_info info) {
  kvm_ppc::Batch batch = BatchIn(BytesOf(env, info));
  batch.count++;
  kvm_ppc::CallForEach<kvm_ppc::GetOneReg>(batch);
  return nullptr;
}

// As if the clock were bound to too few words.
napi_value ShortSample(napi_env, napi_callback_info) {
  const std::unique_ptr<uint64_t[]> words(new uint64_t[2]);
  kvm_ppc::TakeSample(reinterpret_cast<kvm_ppc::Sample*>(words.get()));
  return nullptr;
}

// As if the memory were used that a batch had once.
napi_value FreedBatch(napi_env env, napi_callback_info info) {
  const size_t length = BytesOf(env, info).length;
  auto memory = std::make_unique<uint8_t[]>(length);
  const kvm_ppc::Batch batch = BatchIn({memory.get(), length});
  memory.reset();
  kvm_ppc::CallForEach<kvm_ppc::GetOneReg>(batch);
  return nullptr;
}

// As if the memory's address were not checked.
napi_value OddBatch(napi_env env, napi_callback_info info) {
  const Bytes bytes = BytesOf(env, info);
  kvm_ppc::CallForEach<kvm_ppc::GetOneReg>(
      BatchIn({bytes.data + 1, bytes.length - kvm_ppc::kEntrySize}));
  return nullptr;
}

napi_value Init(napi_env env, napi_value exports) {
  const auto add = [&](const char* name, napi_callback call) {
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  };
  add("nothing", Nothing);
  add("longBatch", LongBatch);
  add("shortSample", ShortSample);
  add("freedBatch", FreedBatch);
  add("oddBatch", OddBatch);
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
