#include "albench/buffer.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "albench/parallel.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace albench {
namespace {

constexpr std::align_val_t kAlign{64};
constexpr std::size_t kHugePage = std::size_t{1} << 21U;
constexpr std::size_t kLarge = 2 * kHugePage;
constexpr std::size_t kPage = 4096;  // or more
constexpr std::size_t kMostKept = 4;

struct Block {
  void* at;
  std::size_t bytes;
};

struct Kept {
  std::mutex one_at_a_time;
  int users = 0;
  std::vector<Block> blocks;  // the one that was given back last comes last
};

Kept& kept() {
  static Kept* const the = new Kept;  // never destroyed: buffers may outlive what is
  return *the;
}

void* fresh(std::size_t bytes) {
  void* const block = ::operator new(bytes, kAlign);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes < kLarge) return block;
  const std::size_t skip = (kPage - reinterpret_cast<std::uintptr_t>(block) % kPage) % kPage;
  (void)madvise(static_cast<char*>(block) + skip, (bytes - skip) / kPage * kPage,
                MADV_HUGEPAGE);  // best effort
#endif
  return block;
}

}  // namespace

void* take_block(std::size_t& bytes) {
  if (bytes >= kLarge) {
    Kept& all = kept();
    const std::scoped_lock lock(all.one_at_a_time);
    const auto found = std::find_if(all.blocks.rbegin(), all.blocks.rend(), [&](const Block& block) {
      return block.bytes >= bytes && block.bytes - bytes <= bytes / 4;
    });
    if (found != all.blocks.rend()) {
      const Block block = *found;
      all.blocks.erase(std::next(found).base());
      bytes = block.bytes;
      return block.at;
    }
  }
  return fresh(bytes);
}

void give_block(void* block, std::size_t bytes) noexcept {
  if (bytes >= kLarge) {
    Kept& all = kept();
    const std::scoped_lock lock(all.one_at_a_time);
    // Room for them was made when the first user came: nothing here throws.
    if (all.users > 0) {
      all.blocks.push_back({block, bytes});
      if (all.blocks.size() <= kMostKept) return;
      block = all.blocks.front().at;
      all.blocks.erase(all.blocks.begin());
    }
  }
  ::operator delete(block, kAlign);
}

void touch(void* block, std::size_t bytes, ThreadPool& pool) {
  if (bytes < kLarge || pool.size() == 1) return;
  auto* const from = static_cast<std::byte*>(block);
  const std::size_t skip = reinterpret_cast<std::uintptr_t>(block) % kHugePage;  // of the first large page
  pool.run(static_cast<Index>((skip + bytes + kHugePage - 1) / kHugePage), [&](Index page, int) {
    const std::size_t begin = static_cast<std::size_t>(page) * kHugePage;
    const std::size_t end = std::min(bytes, begin + kHugePage - skip);
    for (std::size_t at = begin > skip ? begin - skip : 0; at < end; at += kPage)
      *static_cast<volatile std::byte*>(from + at) = std::byte{0};
  });
}

KeptBlocks::KeptBlocks() {
  Kept& all = kept();
  const std::scoped_lock lock(all.one_at_a_time);
  all.blocks.reserve(kMostKept + 1);
  ++all.users;
}

KeptBlocks::~KeptBlocks() {
  Kept& all = kept();
  const std::scoped_lock lock(all.one_at_a_time);
  if (--all.users > 0) return;
  for (const Block& block : all.blocks) ::operator delete(block.at, kAlign);
  all.blocks.clear();
}

}  // namespace albench
