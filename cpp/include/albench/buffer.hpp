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

namespace albench {

// A block of at least `bytes`, which become its size, at the start of a cache line.
void* take_block(std::size_t& bytes);
void give_block(void* block, std::size_t bytes) noexcept;

class ThreadPool;

// Has the system bring in fresh memory with all threads, each of them whole pages: two threads that come upon
// the same large page would both clear it. What is in the memory is lost.
void touch(void* block, std::size_t bytes, ThreadPool& pool);

// While one lives, large blocks that are given back are kept for the next of about their size, of whichever
// thread: the system clears fresh memory, which takes longer than what is often done to it.
class KeptBlocks {
 public:
  KeptBlocks();
  ~KeptBlocks();
  KeptBlocks(const KeptBlocks&) = delete;
  KeptBlocks& operator=(const KeptBlocks&) = delete;
};

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
    if (size > capacity_) {
      values_.reset();
      size_ = capacity_ = 0;
      std::size_t bytes = size * sizeof(T);
      T* const values = static_cast<T*>(take_block(bytes));
      values_ = {values, Free{bytes}};
      capacity_ = size;
    }
    size_ = size;
  }

  void touch(ThreadPool& pool) { albench::touch(data(), size_ * sizeof(T), pool); }

  T* data() { return values_.get(); }
  const T* data() const { return values_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    std::size_t bytes = 0;
    void operator()(T* values) const { give_block(values, bytes); }
  };

  std::unique_ptr<T, Free> values_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace albench
