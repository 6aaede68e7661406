#include "binding_hot.h"

#include "timebase.h"

namespace kvm_ppc {

uint32_t BoundBatches::Add(const Batch& batch) {
  if (free_.empty()) {
    batches_.push_back(batch);
    return static_cast<uint32_t>(batches_.size() - 1);
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  batches_[index] = batch;
  return index;
}

void BoundBatches::Remove(uint32_t index) {
  batches_[index] = empty_;
  free_.push_back(index);
}

namespace {

BoundWords& DataOf(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  // It cannot fail here, where there is an environment.
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  return *static_cast<BoundWords*>(data);
}

const Batch& BatchOf(const BoundWords& bound) {
  return (*bound.batches)[bound.words[3]];
}

napi_value Outcome(napi_env env, int failure) {
  if (failure == 0) return nullptr;
  napi_value value = nullptr;
  napi_create_int32(env, failure, &value);
  return value;
}

}  // namespace

napi_value GetBound(napi_env env, napi_callback_info info) {
  return Outcome(env, CallForEach<GetOneReg>(BatchOf(DataOf(env, info))));
}

napi_value SetBound(napi_env env, napi_callback_info info) {
  return Outcome(env, CallForEach<SetOneReg>(BatchOf(DataOf(env, info))));
}

napi_value TimebaseBound(napi_env env, napi_callback_info info) {
  uint64_t timebase = 0;
  const int result = Timebase(&timebase);
  DataOf(env, info).words[0] = timebase;
  return Outcome(env, result);
}

napi_value SampleBound(napi_env env, napi_callback_info info) {
  Sample sample{};
  const int result = TakeSample(&sample);
  const BoundWords& bound = DataOf(env, info);
  bound.words[0] = sample.timebase;
  bound.words[1] = static_cast<uint64_t>(sample.time_of_day_ns);
  bound.words[2] = sample.half_width;
  return Outcome(env, result);
}

napi_value ClockStateBound(napi_env env, napi_callback_info info) {
  int64_t max_error_us = 0;
  const int state = ClockState(&max_error_us);
  DataOf(env, info).words[0] = static_cast<uint64_t>(max_error_us);
  return Outcome(env, state);
}

}  // namespace kvm_ppc
