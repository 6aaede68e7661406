{
  "targets": [
    {
      "target_name": "kvm_ppc_onereg",
      "sources": [
        "native/background.cc",
        "native/binding.cc",
        "native/binding_async.cc",
        "native/binding_hot.cc",
        "native/glibc.cc",
        "native/kvm.cc",
        "native/open_files.cc",
        "native/timebase.cc"
      ],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
      # Swallow: a worker that is being ended takes no exceptions, and without it the process would end.
      "defines": ["NAPI_VERSION=9", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags": ["-Wall", "-Wextra"],
      # A debugger on POWER needs none: its frames are chained anyway.
      "conditions": [["target_arch=='ppc64'", {"cflags!": ["-fno-omit-frame-pointer"]}]],
      # Hidden: a call from one of our files to another then needs no detour over the linker's table.
      "cflags_cc": ["-std=c++17", "-fvisibility=hidden"],
      # Node unloads an addon with the last worker that used it; a thread of ours may still run then.
      "ldflags": ["-pthread", "-Wl,-z,nodelete"]
    }
  ]
}
