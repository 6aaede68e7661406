#include "binding_async.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "background.h"
#include "kvm.h"

namespace kvm_ppc {

namespace {

struct Job {
  Job(Napi::TypedArray typed_array, const Batch& original, Brings brought)
      : brings(brought),
        memory(Napi::Persistent(typed_array.As<Napi::Object>())),
        target(original),
        copy(new (std::nothrow) uint8_t[BatchSize(original.count)]) {
    if (copy) std::memcpy(copy.get(), original.data, BatchSize(original.count));
  }

  Napi::Value Promise(Napi::Env env) {
    napi_value promise;
    NAPI_THROW_IF_FAILED(env, napi_create_promise(env, &deferred, &promise), Napi::Value());
    return {env, promise};
  }

  // A failure is ignored: it can happen only in a worker that is being terminated, in which no code
  // waits any more and an exception would crash the process.
  void Resolve(napi_env env, int result) const {
    napi_value value;
    if (napi_create_int32(env, result, &value) == napi_ok) {
      napi_resolve_deferred(env, deferred, value);
    }
  }

  // Called on the JavaScript thread.
  void Finish(napi_env env) {
    const size_t values = target.count * kMaxRegisterSize;
    const size_t results = target.count * (kEntrySize - sizeof(int32_t));
    if (brings == Brings::kValuesAndResults) std::memcpy(target.data, copy.get(), values);
    std::memcpy(target.data + results, copy.get() + results, target.count * sizeof(int32_t));
    Resolve(env, 0);
  }

  Brings brings;
  napi_deferred deferred = nullptr;
  Napi::ObjectReference memory;
  Batch target;
  // A batch may have 32 MiB: the pointer is null if that memory could not be allocated.
  std::unique_ptr<uint8_t[]> copy;
};

}  // namespace

class Background : public std::enable_shared_from_this<Background> {
 public:
  Background(Napi::Env env, std::shared_ptr<OpenFiles> files) : files_(std::move(files)) {
    const auto name = Napi::String::New(env, "kvm-ppc-onereg");
    napi_status status = napi_create_threadsafe_function(
        env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
        [](napi_env env, napi_value, void* self, void*) {
          // Null when the environment is being torn down, in which case no code waits.
          if (env != nullptr) static_cast<Background*>(self)->FinishDone(env);
        },
        &wake_);
    if (status == napi_ok) status = napi_unref_threadsafe_function(env, wake_);
    NAPI_THROW_IF_FAILED_VOID(env, status);
  }

  // Called when the environment ends. Afterwards no thread may use anything that belongs to it.
  void End() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    // Jobs have references to JavaScript objects, which are destroyed with the environment.
    for (Job* job : done_) Abandon(job);
    done_.clear();
  }

  void Start(napi_env env, std::unique_ptr<Job> job, int (*call)(const Batch&)) {
    Job* started = job.get();
    const auto work = [self = shared_from_this(), started, call] {
      call({started->copy.get(), started->target.count});
      self->Done(started);
    };
    const int result = job->copy ? RunInBackground(work) : -ENOMEM;
    if (result < 0) {
      job->Resolve(env, result);
      return;
    }
    job.release();
    // Makes the event loop wait for calls in flight.
    if (in_flight_++ == 0) napi_ref_threadsafe_function(env, wake_);
  }

 private:
  // Called on the thread that made the calls.
  void Done(Job* job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) {
      Abandon(job);
      return;
    }
    done_.push_back(job);
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
  }

  void FinishDone(Napi::Env env) {
    std::vector<Job*> done;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      done.swap(done_);
    }
    const Napi::HandleScope scope(env);
    for (Job* job : done) {
      const std::unique_ptr<Job> owned(job);
      owned->Finish(env);
      if (--in_flight_ == 0) napi_unref_threadsafe_function(env, wake_);
    }
  }

  // Deletes a job but not its references, since the environment that owns them is gone.
  static void Abandon(Job* job) {
    job->memory.SuppressDestruct();
    delete job;
  }

  // Keeps the files open: if one were closed during a call, the call could go on with another file
  // that gets the same number.
  const std::shared_ptr<OpenFiles> files_;
  std::mutex mutex_;
  bool ended_ = false;
  std::vector<Job*> done_;
  size_t in_flight_ = 0;
  napi_threadsafe_function wake_ = nullptr;
};

std::shared_ptr<Background> MakeBackground(Napi::Env env, std::shared_ptr<OpenFiles> files) {
  auto background = std::make_shared<Background>(env, std::move(files));
  // Added after the thread-safe function was made, so that it runs before that function's own hook.
  env.AddCleanupHook([background] { background->End(); });
  return background;
}

Napi::Value InBackground(const std::shared_ptr<Background>& background, Napi::TypedArray memory,
                         const Batch& batch, int (*call)(const Batch&), Brings brings) {
  auto job = std::make_unique<Job>(memory, batch, brings);
  const Napi::Value promise = job->Promise(memory.Env());
  background->Start(memory.Env(), std::move(job), call);
  return promise;
}

}  // namespace kvm_ppc
