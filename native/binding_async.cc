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

  // It fails only in a worker that is being ended: nobody waits there, and to throw would be a
  // crash.
  void Resolve(napi_env env, int result) const {
    napi_value value;
    if (napi_create_int32(env, result, &value) == napi_ok) {
      napi_resolve_deferred(env, deferred, value);
    }
  }

  // On the JavaScript thread.
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
  // Null if there is no memory for it: a batch may be of 32 MiB.
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
          // Without an environment there is nobody to tell.
          if (env != nullptr) static_cast<Background*>(self)->FinishDone(env);
        },
        &wake_);
    if (status == napi_ok) status = napi_unref_threadsafe_function(env, wake_);
    NAPI_THROW_IF_FAILED_VOID(env, status);
  }

  // From here on no thread may touch what belongs to the environment.
  void End() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    // Jobs that are done or in flight keep JavaScript's objects, which go down with it.
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
    // As long as a call is in flight the process waits for it.
    if (in_flight_++ == 0) napi_ref_threadsafe_function(env, wake_);
  }

 private:
  // On the thread that made the calls.
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

  // Its references belong to an environment that is gone: they are left as they are.
  static void Abandon(Job* job) {
    job->memory.SuppressDestruct();
    delete job;
  }

  // Only kept: were they closed under a call, it could go on with another's file of that number.
  const std::shared_ptr<OpenFiles> files_;
  std::mutex mutex_;
  bool ended_ = false;
  std::vector<Job*> done_;
  size_t in_flight_ = 0;
  napi_threadsafe_function wake_ = nullptr;
};

std::shared_ptr<Background> MakeBackground(Napi::Env env, std::shared_ptr<OpenFiles> files) {
  auto background = std::make_shared<Background>(env, std::move(files));
  // After the thread-safe function, so that it runs before that function's own.
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
