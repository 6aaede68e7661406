{
  "targets": [
    {
      "target_name": "power_clock",
      "sources": ["clock.cc"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra"],
      "cflags_cc": ["-std=c++17"]
    }
  ]
}
