// glibc 2.32 brought this variable: while it is true, C++'s shared pointers count without atomics.
// A process with Node in it always has threads, and with a variable of our own the addon loads with
// an older glibc too.
__attribute__((visibility("hidden"))) char __libc_single_threaded = false;
