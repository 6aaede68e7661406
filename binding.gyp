{
  # "any" is for the package's binaries: they load with every C library, glibc of any version and musl.
  "variables": {"libc%": "this"},
  "target_defaults": {
    "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
    # Swallow: a worker that is being ended takes no exceptions, and without it the process would end.
    "defines": ["NAPI_VERSION=9", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "cflags": ["-Wall", "-Wextra"],
    # A debugger on POWER needs none: its frames are chained anyway.
    "conditions": [
      ["target_arch=='ppc64'", {"cflags!": ["-fno-omit-frame-pointer"]}],
      # Node's process has a C library already, and the addon takes its functions from there: with no
      # library named in it, and so no version of a symbol, the loaders of glibc and musl both take it.
      # C++'s library and the unwinder are in the addon.
      ["libc=='any'", {
        "defines": ["KVM_PPC_ANY_LIBC=1"],
        "libraries": ["-nodefaultlibs", "-l:libstdc++.a", "-l:libgcc_eh.a", "-l:libgcc.a"]
      }]
    ],
    # Hidden: a call from one of our files to another then needs no detour over the linker's table.
    "cflags_cc": ["-std=c++17", "-fvisibility=hidden"],
    # Node unloads an addon with the last worker that used it; a thread of ours may still run then.
    "ldflags": ["-pthread", "-Wl,-z,nodelete"]
  },
  "targets": [
    {
      "target_name": "kvm_ppc_onereg",
      "sources": [
        "native/background.cc",
        "native/binding.cc",
        "native/binding_async.cc",
        "native/binding_hot.cc",
        "native/any_libc.cc",
        "native/kvm.cc",
        "native/open_files.cc",
        "native/timebase.cc"
      ]
    }
  ],
  "conditions": [
    # The guest of the command verify. It is made of POWER instructions, and nothing else loads it.
    ["OS=='linux' and target_arch=='ppc64'", {
      "targets": [
        {
          "target_name": "kvm_ppc_guest",
          "sources": ["native/guest/binding.cc", "native/guest/guest.cc", "native/any_libc.cc"]
        }
      ]
    }]
  ]
}
