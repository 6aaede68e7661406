// The calls that are made while a guest is stopped, and so must be fast. They do without
// node-addon-api, whose wrapper costs as much as an empty call. Looking up a typed array would cost
// more than the ioctl, so the memory is bound beforehand: a call takes no arguments and puts its
// results there.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "batch.h"

namespace kvm_ppc {

// The batches that JavaScript has bound in an environment, by index. All share one function, which
// takes the index from memory, since V8 optimises calls to the same function best.
class BoundBatches {
 public:
  uint32_t Add(const Batch& batch);
  void Remove(uint32_t index);

  // An empty batch for an index that is not in use.
  const Batch& operator[](uint64_t index) const {
    return index < batches_.size() ? batches_[index] : empty_;
  }

 private:
  uint64_t nothing_used_ = 0;
  const Batch empty_ = {reinterpret_cast<uint8_t*>(&nothing_used_), 0};
  std::vector<Batch> batches_;
  std::vector<uint32_t> free_;
};

// The data of the callbacks below. The four words are the timebase (or the most by which the wall
// clock can be wrong, in µs), the time of day, the half-width of their bracket, and the index of
// the batch to make calls for. `memory` keeps them alive.
struct BoundWords {
  napi_ref memory;
  volatile uint64_t* words;
  std::shared_ptr<BoundBatches> batches;
};

constexpr size_t kBoundWords = 4;

// Each returns undefined for 0, or -errno; for a batch, the -errno of the first entry that failed.
// ClockStateBound can also return a state above 0.

napi_value GetBound(napi_env env, napi_callback_info info);
napi_value SetBound(napi_env env, napi_callback_info info);
napi_value TimebaseBound(napi_env env, napi_callback_info info);
napi_value SampleBound(napi_env env, napi_callback_info info);
napi_value ClockStateBound(napi_env env, napi_callback_info info);

}  // namespace kvm_ppc
