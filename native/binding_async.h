// Calls for batches off the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>

#include "batch.h"
#include "open_files.h"

namespace kvm_ppc {

// The calls in flight of one Node environment: the main thread's, or a worker's.
class Background;

// Makes the one object of an environment. It lives until the environment and the last call in
// flight have ended, and keeps the environment's files open until then.
std::shared_ptr<Background> MakeBackground(Napi::Env env, std::shared_ptr<OpenFiles> files);

// The parts of the copy that are written back to the batch when its calls have ended. After writing
// registers only the results are: the caller may have put new values into the batch meanwhile.
enum class Brings { kResults, kValuesAndResults };

// Makes the batch's calls on another thread, on a copy of its memory, and then writes back to
// `memory`, which is that of `batch`. Returns a promise of 0, or of -errno if there is no thread or
// no memory for it.
Napi::Value InBackground(const std::shared_ptr<Background>& background, Napi::TypedArray memory,
                         const Batch& batch, int (*call)(const Batch&), Brings brings);

}  // namespace kvm_ppc
