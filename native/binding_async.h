// Batches off the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>

#include "batch.h"

namespace kvm_ppc {

// What belongs to one Node environment: the main thread's, or a worker's.
class Background;

// Made once for each environment; it lives as long as that or as the last call in flight.
std::shared_ptr<Background> MakeBackground(Napi::Env env);

// Makes the batch's calls on another thread, on a copy of its memory, and brings results and values
// back to `memory`, which is the batch's. Resolves to how many entries failed, or to -errno if no
// thread can be had.
Napi::Value InBackground(const std::shared_ptr<Background>& background, Napi::TypedArray memory,
                         const Batch& batch, int (*call)(const Batch&));

}  // namespace kvm_ppc
