// Batches off the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>

#include "batch.h"
#include "open_files.h"

namespace kvm_ppc {

// What belongs to one Node environment: the main thread's, or a worker's.
class Background;

// Made once for each environment; it lives as long as that or as the last call in flight, and keeps
// the environment's files open until then.
std::shared_ptr<Background> MakeBackground(Napi::Env env, std::shared_ptr<OpenFiles> files);

// Which parts of the copy are written back to the batch when its calls have ended. A call that
// writes registers brings no values: the caller may have put the next ones into the batch
// meanwhile.
enum class Brings { kResults, kValuesAndResults };

// Makes the batch's calls on another thread, on a copy of its memory, and then writes back to
// `memory`, which is the batch's. Resolves to 0, or to -errno if no thread or no memory can be had.
Napi::Value InBackground(const std::shared_ptr<Background>& background, Napi::TypedArray memory,
                         const Batch& batch, int (*call)(const Batch&), Brings brings);

}  // namespace kvm_ppc
