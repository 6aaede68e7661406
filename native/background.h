// Runs work on a new thread.
#pragma once

#include <functional>

namespace kvm_ppc {

// Runs the work once, on a new detached thread. Returns 0, or -errno if no thread can be created.
//
// libuv's threads will not do: a vCPU ioctl waits for as long as KVM_RUN holds the vCPU, which may
// be for ever. It would take a thread away from Node's file and DNS calls, and process.exit() would
// wait for it.
int RunInBackground(std::function<void()> work);

}  // namespace kvm_ppc
