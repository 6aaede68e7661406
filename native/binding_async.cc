#include "binding_async.h"

#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "background.h"
#include "kvm.h"

namespace kvm_ppc {

namespace {

struct Job {
  Job(Napi::TypedArray typed_array, const Batch& original, napi_deferred promised)
      : env(typed_array.Env()),
        deferred(promised),
        memory(Napi::Persistent(typed_array.As<Napi::Object>())),
        target(original),
        copy(original.data, original.data + BatchSize(original.count)) {}

  // On the JavaScript thread.
  void Finish() {
    const size_t values = target.count * kMaxRegisterSize;
    const size_t results = target.count * (kEntrySize - sizeof(int32_t));
    std::memcpy(target.data, copy.data(), values);
    std::memcpy(target.data + results, copy.data() + results, target.count * sizeof(int32_t));
    Resolve(0);
  }

  // Where that fails, a worker is being terminated, and nobody waits for the promise: in raw
  // Node-API, since an exception from Finish would end the process.
  void Resolve(int32_t result) {
    napi_value number;
    if (napi_create_int32(env, result, &number) == napi_ok) {
      napi_resolve_deferred(env, deferred, number);
    }
  }

  napi_env env;
  napi_deferred deferred;
  Napi::ObjectReference memory;
  Batch target;
  std::vector<uint8_t> copy;
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

  void Start(std::unique_ptr<Job> job, int (*call)(const Batch&)) {
    Job* started = job.get();
    const napi_env env = job->env;
    const int result = RunInBackground([self = shared_from_this(), started, call] {
      call({started->copy.data(), started->target.count});
      self->Done(started);
    });
    if (result < 0) {
      job->Resolve(result);
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
      owned->Finish();
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
                         const Batch& batch, int (*call)(const Batch&)) {
  const Napi::Env env = memory.Env();
  napi_deferred deferred;
  napi_value promise;
  NAPI_THROW_IF_FAILED(env, napi_create_promise(env, &deferred, &promise), Napi::Value());
  background->Start(std::make_unique<Job>(memory, batch, deferred), call);
  return {env, promise};
}

}  // namespace kvm_ppc
