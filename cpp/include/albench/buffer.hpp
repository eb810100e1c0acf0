// Memory for large arrays that are written before they are read: left uninitialised, so that its pages are
// touched by the threads that fill it, at the start of a cache line, and backed by huge pages where the
// system has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace albench {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) { resize(size); }
  Buffer(const Buffer& other) {
    resize(other.size_);
    if (size_ > 0) std::memcpy(data(), other.data(), size_ * sizeof(T));
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer other) noexcept {
    swap(other);
    return *this;
  }
  void swap(Buffer& other) noexcept {
    std::swap(values_, other.values_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  // Does not keep what was there if it has to grow.
  void resize(std::size_t size) {
    size_ = size;
    if (size <= capacity_) return;
    values_.reset(static_cast<T*>(::operator new(size * sizeof(T), kAlign)));
    capacity_ = size;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr std::size_t kPage = 4096;
    constexpr std::size_t kHugePage = std::size_t{1} << 21U;
    const std::size_t bytes = size * sizeof(T);
    if (bytes < 2 * kHugePage) return;
    char* begin = reinterpret_cast<char*>(values_.get());
    const std::size_t skip = (kPage - reinterpret_cast<std::uintptr_t>(begin) % kPage) % kPage;
    (void)madvise(begin + skip, (bytes - skip) / kPage * kPage, MADV_HUGEPAGE);  // best effort
#endif
  }

  T* data() { return values_.get(); }
  const T* data() const { return values_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(T* values) const { ::operator delete(values, kAlign); }
  };

  std::unique_ptr<T, Free> values_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace albench
