// A small thread pool that lives as long as one call into the core.
//
// A pool that outlived its call would break fork() in the host program; starting a few threads costs some
// tens of microseconds, which is paid once per maximisation. Workers wait by spinning for a short while,
// because a greedy step takes only microseconds, and then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "albench/types.hpp"

namespace albench {

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs task(t, worker) for t in [0, n_tasks); worker in [0, size()) names a private scratch. Tasks are
  // handed out in an unspecified order, so a task may only write what belongs to it: that is what keeps
  // results independent of the number of threads. The first exception is rethrown here. `poll` is called from
  // this thread between its tasks and once at the end; what it throws ends the run.
  void run(Index n_tasks, const std::function<void(Index, int)>& task, const Poll& poll = Poll());

 private:
  void work(int worker);
  void drain(int worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(Index, int)>* task_ = nullptr;
  const Poll* poll_ = nullptr;
  Index n_tasks_ = 0;
  std::atomic<Index> next_{0};
  std::atomic<int> inside_{0};  // workers at the current tasks, plus a large number while they may come in
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::exception_ptr error_;
};

// Calls use(begin, end) for consecutive parts of [0, size), threaded where it is worth waking a thread.
template <class Use>
void for_parts(Index size, ThreadPool& pool, const Use& use) {
  constexpr Index kPart = 16384;
  if (size <= kPart) {
    use(Index{0}, size);
    return;
  }
  pool.run((size + kPart - 1) / kPart,
           [&](Index t, int) { use(t * kPart, t * kPart + kPart < size ? t * kPart + kPart : size); });
}

}  // namespace albench
