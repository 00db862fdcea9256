// SPDX-License-Identifier: BSL-1.0
// host PLUGIN...: each plugin has its own copy of the library.
#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
  int failed = argc < 2 ? 1 : 0;
  for (int i = 1; i < argc; ++i) {
    void* const plugin = ::dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
    const auto run = plugin == nullptr
                         ? nullptr
                         : reinterpret_cast<bool (*)()>(::dlsym(plugin, "start_and_stop"));
    if (run != nullptr && run()) continue;
    std::fprintf(stderr, "%s: %s\n", argv[i], run == nullptr ? ::dlerror() : "failed");
    ++failed;
  }
  return failed;
}
