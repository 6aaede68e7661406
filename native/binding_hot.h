// The calls that are made while a guest stands still, without node-addon-api: its wrapper costs as
// much as an empty call, and looking up a typed array more than the ioctl. So the memory is bound
// beforehand; a call takes no arguments and leaves its results there.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "batch.h"

namespace kvm_ppc {

// The batches that an environment's JavaScript has bound, by index: one function for all of them,
// since a call of a function that is always the same costs JavaScript least.
class BoundBatches {
 public:
  uint32_t Add(const Batch& batch);
  void Remove(uint32_t index);

  // An empty one for an index that none has.
  const Batch& operator[](uint64_t index) const {
    return index < batches_.size() ? batches_[index] : empty_;
  }

 private:
  uint64_t nothing_used_ = 0;
  const Batch empty_ = {reinterpret_cast<uint8_t*>(&nothing_used_), 0};
  std::vector<Batch> batches_;
  std::vector<uint32_t> free_;
};

// What the callbacks below have as their data. Four words: the timebase, the time of day and the
// half-width of their bracket, and the index of the batch to call for. The clock's greatest error
// takes the place of the timebase. `memory` keeps them alive.
struct BoundWords {
  napi_ref memory;
  volatile uint64_t* words;
  std::shared_ptr<BoundBatches> batches;
};

constexpr size_t kBoundWords = 4;

// Each returns undefined, or -errno: that of the first entry that failed. ClockStateBound returns
// the state too, unless it is 0.

napi_value GetBound(napi_env env, napi_callback_info info);
napi_value SetBound(napi_env env, napi_callback_info info);
napi_value TimebaseBound(napi_env env, napi_callback_info info);
napi_value SampleBound(napi_env env, napi_callback_info info);
napi_value ClockStateBound(napi_env env, napi_callback_info info);

}  // namespace kvm_ppc
