#include "background.h"

#include <pthread.h>
#include <signal.h>

#include <memory>
#include <utility>

namespace kvm_ppc {

namespace {

// Enough for a loop of ioctls. The default of 8 MiB would be much memory for a thousand vCPUs.
constexpr size_t kStackSize = 256 * 1024;

void* Run(void* argument) {
  const std::unique_ptr<std::function<void()>> work(static_cast<std::function<void()>*>(argument));
  (*work)();
  return nullptr;
}

}  // namespace

int RunInBackground(std::function<void()> work) {
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes)) return -error;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackSize);
  auto argument = std::make_unique<std::function<void()>>(std::move(work));
  // The new thread inherits the mask, so that signals go to Node's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, Run, argument.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return -error;
  argument.release();
  return 0;
}

}  // namespace kvm_ppc
