// The host's wall clock, for tests that have to set it.

#include <napi.h>
#include <time.h>

namespace {

int64_t Nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

Napi::Value TimeOfDay(const Napi::CallbackInfo& info) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return Napi::BigInt::New(info.Env(), Nanoseconds(now));
}

// By a difference, so that the time that the call itself takes does not count.
void StepTimeOfDay(const Napi::CallbackInfo& info) {
  bool lossless;
  const int64_t by = info[0].As<Napi::BigInt>().Int64Value(&lossless);
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t then = Nanoseconds(now) + by;
  now.tv_sec = then / 1000000000;
  now.tv_nsec = then % 1000000000;
  if (clock_settime(CLOCK_REALTIME, &now) < 0) {
    throw Napi::Error::New(info.Env(), "the clock could not be set");
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("timeOfDay", Napi::Function::New<TimeOfDay>(env));
  exports.Set("stepTimeOfDay", Napi::Function::New<StepTimeOfDay>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
