{
  "targets": [
    {
      "target_name": "kvm_ppc_onereg",
      "sources": ["native/binding.cc", "native/kvm.cc", "native/timebase.cc"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra"],
      "cflags_cc": ["-std=c++17"]
    }
  ]
}
