{
  "targets": [
    {
      "target_name": "planted",
      "sources": ["planted.cc", "../../../native/timebase.cc"],
      "include_dirs": ["../../../native"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra"],
      "cflags_cc": ["-std=c++17"]
    }
  ]
}
