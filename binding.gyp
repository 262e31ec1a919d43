{
  # Debug is the sanitizer build (ASan + UBSan): `node scripts/build-native.mjs --debug`.
  "target_defaults": {
    "cflags": [
      "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wformat=2", "-Wundef", "-Wpointer-arith", "-Wvla",
      "-fstack-protector-strong", "-fno-strict-aliasing"
    ],
    "ldflags": ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
    "configurations": {
      "Release": {"cflags": ["-O2", "-g1"], "defines": ["_FORTIFY_SOURCE=2"]},
      "Debug": {
        # Line tables are enough for stack traces; the rest makes compiling a fifth slower.
        "cflags": ["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
        "ldflags": ["-fsanitize=address,undefined"]
      }
    }
  },
  "variables": {
    "addon_cflags_cc": [
      # no-shadow: napi-inl.h shadows its own parameters; no-restrict: false alarms of gcc 12 on std::string
      "-std=c++20", "-fexceptions", "-frtti", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-shadow", "-Wno-restrict"
    ]
  },
  "targets": [
    {
      # The public libostree binding (trees/ostree).
      "target_name": "ostree",
      "sources": ["<!@(node scripts/list-sources.mjs trees/ostree/native .cc)"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
      # The second: a worker being terminated takes no exceptions, which must not end the process.
      "defines": ["NAPI_VERSION=8", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc!": ["-fno-rtti", "-fno-exceptions"],
      "cflags_cc": ["<@(addon_cflags_cc)", "<!@(pkg-config --cflags ostree-1)"],
      "libraries": ["<!@(pkg-config --libs ostree-1)"]
    },
    {
      # Bundle encoder and decoder (trees/delta).
      "target_name": "delta",
      "sources": ["<!@(node scripts/list-sources.mjs trees/delta/native .cc)", "<!@(node scripts/list-sources.mjs trees/native-support .cc)"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc!": ["-fno-rtti", "-fno-exceptions"],
      "cflags_cc": ["<@(addon_cflags_cc)", "<!@(pkg-config --cflags ostree-1 libzstd liblzma libcrypto)"],
      "libraries": ["<!@(pkg-config --libs ostree-1 libzstd liblzma libcrypto)"]
    },
    {
      # Composition and checkout of trees (trees/store). OpenSSL for checksums only; not libostree, so loading it is cheap.
      "target_name": "store",
      "sources": ["<!@(node scripts/list-sources.mjs trees/store/native .cc)", "<!@(node scripts/list-sources.mjs trees/native-support .cc)"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc!": ["-fno-rtti", "-fno-exceptions"],
      "cflags_cc": ["<@(addon_cflags_cc)", "<!@(pkg-config --cflags libcrypto)"],
      "libraries": ["<!@(pkg-config --libs libcrypto)"]
    },
    {
      # System calls Node lacks (trees/system): execve, flock, syncfs, renameat2… No library beyond libc, so loading it is cheap.
      "target_name": "system",
      "sources": ["<!@(node scripts/list-sources.mjs trees/system/native .cc)"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc!": ["-fno-rtti", "-fno-exceptions"],
      "cflags_cc": ["<@(addon_cflags_cc)"]
    },
    {
      # The container launcher: static, no library.
      "target_name": "trees-launch",
      "type": "none",
      "actions": [{
        "action_name": "trees-launch",
        "inputs": [
          "<!@(node scripts/list-sources.mjs trees/launcher .c .h .mjs)"
        ],
        "outputs": ["<(PRODUCT_DIR)/trees-launch"],
        "action": ["node", "trees/launcher/build.mjs", "launch", "<(PRODUCT_DIR)", "<(CONFIGURATION_NAME)"]
      }]
    },
    {
      # PID 1 of every container: static, it runs inside any tree.
      "target_name": "trees-init",
      "type": "none",
      "actions": [{
        "action_name": "trees-init",
        "inputs": [
          "<!@(node scripts/list-sources.mjs trees/init .c .h)",
          "<!@(node scripts/list-sources.mjs trees/launcher .c .h .mjs)"
        ],
        "outputs": ["<(PRODUCT_DIR)/trees-init"],
        "action": ["node", "trees/launcher/build.mjs", "init", "<(PRODUCT_DIR)", "<(CONFIGURATION_NAME)"]
      }]
    },
    {
      # Tries kernel features for `trees check`.
      "target_name": "trees-probe",
      "type": "executable",
      "sources": ["<!@(node scripts/list-sources.mjs trees/check/native .c)"],
      "defines": ["_GNU_SOURCE"],
      "cflags_c": ["-std=gnu17", "-fPIE"],
      "ldflags": ["-pie"]
    }
  ]
}
