// A small thread pool that lives as long as one call into the core.
//
// A pool that outlived its call would break fork() in the host program; starting a few threads costs some
// tens of microseconds, which is paid once per maximisation. Workers wait by spinning for a short while,
// because a greedy step takes only microseconds, and then sleep. Nobody waits for a worker that has nothing
// in hand, not even at the end: on a busy machine the system may take milliseconds to wake it.
#pragma once

#include <functional>
#include <memory>

#include "albench/types.hpp"

namespace albench {

class ThreadPool {
 public:
  // Starts fewer threads where the system allows no more.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_workers_ + 1; }

  // Runs task(t, worker) for t in [0, n_tasks); worker in [0, size()) names a private scratch. Tasks are
  // handed out in an unspecified order, so a task may only write what belongs to it: that is what keeps
  // results independent of the number of threads. The first exception is rethrown here. `poll` is called from
  // this thread between its tasks and once at the end; what it throws ends the run.
  void run(Index n_tasks, const std::function<void(Index, int)>& task, const Poll& poll = Poll());

 private:
  struct Crew;  // what the workers share; the last of them to leave frees it

  std::shared_ptr<Crew> crew_;
  int n_workers_ = 0;
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
