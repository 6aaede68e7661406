#include "binding_hot.h"

#include "timebase.h"

namespace kvm_ppc {

namespace {

template <typename T>
T& DataOf(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  // It fails only without an environment.
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  return *static_cast<T*>(data);
}

}  // namespace

napi_value GetBound(napi_env env, napi_callback_info info) {
  GetOneRegs(DataOf<BoundBatch>(env, info).batch);
  return nullptr;
}

napi_value SetBound(napi_env env, napi_callback_info info) {
  SetOneRegs(DataOf<BoundBatch>(env, info).batch);
  return nullptr;
}

napi_value TimebaseBound(napi_env env, napi_callback_info info) {
  uint64_t* words = DataOf<BoundClock>(env, info).words;
  *reinterpret_cast<int32_t*>(&words[3]) = Timebase(&words[0]);
  return nullptr;
}

napi_value SampleBound(napi_env env, napi_callback_info info) {
  uint64_t* words = DataOf<BoundClock>(env, info).words;
  Sample sample{};
  const int result = TakeSample(&sample);
  words[0] = sample.timebase;
  words[1] = static_cast<uint64_t>(sample.time_of_day_ns);
  words[2] = sample.half_width;
  *reinterpret_cast<int32_t*>(&words[3]) = result;
  return nullptr;
}

}  // namespace kvm_ppc
