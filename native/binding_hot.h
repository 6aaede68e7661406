// The calls that are made while a guest stands still, without node-addon-api: its wrapper costs as
// much as an empty call, and looking up a typed array more than the ioctl. So the memory is bound
// beforehand; a call takes no arguments and leaves its results there.
#pragma once

#include <node_api.h>

#include "batch.h"

namespace kvm_ppc {

// What the callbacks below have as their data. `memory` keeps the batch's memory alive.
struct BoundBatch {
  napi_ref memory;
  Batch batch;
};

napi_value GetBound(napi_env env, napi_callback_info info);
napi_value SetBound(napi_env env, napi_callback_info info);

// Four words: the timebase, the time of day, the half-width of their bracket; and the call's
// result.
struct BoundClock {
  napi_ref memory;
  uint64_t* words;
};

napi_value TimebaseBound(napi_env env, napi_callback_info info);
napi_value SampleBound(napi_env env, napi_callback_info info);

}  // namespace kvm_ppc
