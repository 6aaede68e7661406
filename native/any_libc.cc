// Symbols of newer versions of glibc that the compiler's own libraries use. With these the
// package's binaries load with an older glibc, and with musl. They are hidden, so that the rest of
// the process keeps using those of its C library.

#include <dlfcn.h>
#include <link.h>

#include <cstdint>

// From glibc 2.32. While it is true, C++'s shared pointers count without atomic operations; it is
// false here because Node always has several threads.
__attribute__((visibility("hidden"))) char __libc_single_threaded = false;

#if KVM_PPC_ANY_LIBC && defined(DLFO_STRUCT_HAS_EH_DBASE)

namespace {

struct Search {
  uintptr_t address;
  dl_find_object* found;
};

int FindObject(dl_phdr_info* object, size_t, void* data) {
  const Search& search = *static_cast<Search*>(data);
  bool holds_address = false;
  void* unwind_table = nullptr;
  for (int index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[index];
    const uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && search.address - start < segment.p_memsz) holds_address = true;
    if (segment.p_type == PT_GNU_EH_FRAME) unwind_table = reinterpret_cast<void*>(start);
  }
  if (!holds_address || unwind_table == nullptr) return 0;
  search.found->dlfo_eh_frame = unwind_table;
  return 1;
}

}  // namespace

// From glibc 2.35. GCC's unwinder calls it to find the unwind table for an address, and reads only
// the field that is set here. On processors where it reads dlfo_eh_dbase too, this file does not
// compile.
static_assert(DLFO_STRUCT_HAS_EH_DBASE == 0);

extern "C" __attribute__((visibility("hidden"))) int _dl_find_object(
    void* address, dl_find_object* found) noexcept {
  Search search{reinterpret_cast<uintptr_t>(address), found};
  return dl_iterate_phdr(FindObject, &search) == 1 ? 0 : -1;
}

#endif
