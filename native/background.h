// Work on a thread of its own.
#pragma once

#include <functional>

namespace kvm_ppc {

// Runs the work once, on a new thread that nobody waits for: 0, or -errno if there can be none.
//
// Not on libuv's threads: a vCPU ioctl waits for as long as KVM_RUN holds the vCPU, which may be
// for ever. There it would keep a thread from Node's file and DNS calls, and process.exit() would
// join it.
int RunInBackground(std::function<void()> work);

}  // namespace kvm_ppc
