#pragma once

// glibc gives some functions a new version when they move to another of its libraries, and a binary
// built with a new glibc then does not load with an old one. These are the versions that each
// glibc on these processors has had from the beginning, and has still.

#include <features.h>

#if defined(__GLIBC__) && defined(__x86_64__)
#define KVM_PPC_OLDEST(name) __asm__(".symver " #name "," #name "@GLIBC_2.2.5")
#elif defined(__GLIBC__) && defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define KVM_PPC_OLDEST(name) __asm__(".symver " #name "," #name "@GLIBC_2.17")
#else
#define KVM_PPC_OLDEST(name) static_assert(true)
#endif
