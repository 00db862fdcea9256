// SPDX-License-Identifier: BSL-1.0
// A host whose allocator hands out memory that its forks share, and spoils what is freed.
#include <sys/mman.h>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "process.hpp"

namespace mk = mirakuru;

#if !defined(MIRAKURU_TEST_SANITIZED)
namespace {

constexpr std::size_t header = 16, arena_size = std::size_t{256} << 20;

void* take(std::size_t size) {
  static auto* const arena =
      static_cast<std::byte*>(::mmap(nullptr, arena_size, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  static std::atomic<std::size_t> used = 0;
  const auto whole = header + (size + header - 1) / header * header;
  const auto at = used.fetch_add(whole);
  if (at + whole > arena_size) throw std::bad_alloc{};
  std::memcpy(arena + at, &size, sizeof size);
  return arena + at + header;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  std::size_t size;
  std::memcpy(&size, static_cast<std::byte*>(memory) - header, sizeof size);
  std::memset(memory, 0xdd, size);
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
#endif

TEST_CASE_TEMPLATE("Spawner: the host's allocator may hand out shared memory", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  mk::Executor executor{mk::Shell{"echo up; exec sleep 300"}, Spawner{}, mk::BannerCheck{"up"}};
  for (int i = 0; i < 3; ++i) {
    CHECK(executor.start().running());
    executor.stop();
    CHECK(executor.exit_code() == -15);
  }
}
