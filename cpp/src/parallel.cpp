#include "albench/parallel.hpp"

namespace albench {
namespace {

// About 20 microseconds of spinning before a worker goes to sleep: longer than the gap between two batches of
// one greedy step, much shorter than anything a user would notice as a busy core.
constexpr int kSpins = 2000;

constexpr int kOpen = 1 << 20;  // more than there can be workers

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int n_threads) {
  workers_.reserve(static_cast<std::size_t>(n_threads > 1 ? n_threads - 1 : 0));
  for (int w = 1; w < n_threads; ++w) workers_.emplace_back([this, w] { work(w); });
}

ThreadPool::~ThreadPool() {
  {
    const std::scoped_lock lock(mutex_);
    stop_.store(true);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::drain(int worker) {
  try {
    for (Index t = next_.fetch_add(1); t < n_tasks_; t = next_.fetch_add(1)) {
      (*task_)(t, worker);
      if (worker == 0 && *poll_) (*poll_)();
    }
  } catch (...) {
    next_.store(n_tasks_);
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::run(Index n_tasks, const std::function<void(Index, int)>& task, const Poll& poll) {
  if (n_tasks <= 0) return;
  if (workers_.empty() || n_tasks == 1) {
    for (Index t = 0; t < n_tasks; ++t) {
      task(t, 0);
      if (poll) poll();
    }
    return;
  }
  task_ = &task;
  poll_ = &poll;
  n_tasks_ = n_tasks;
  next_.store(0);
  inside_.store(kOpen);
  {
    const std::scoped_lock lock(mutex_);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  drain(0);
  // No task is left to hand out. Who has come in finishes; who has not woken up yet is not waited for, as on
  // a busy machine that may take long.
  inside_.fetch_sub(kOpen);
  for (int spin = 0; inside_.load() != 0; ++spin) {
    if (spin < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
  if (error_) {
    const std::exception_ptr error = error_;
    error_ = nullptr;
    std::rethrow_exception(error);
  }
  if (poll) poll();
}

void ThreadPool::work(int worker) {
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load() == seen; ++spin) relax();
    if (generation_.load() == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
    }
    seen = generation_.load();
    if (stop_.load()) return;
    int inside = inside_.load();
    while (inside >= kOpen && !inside_.compare_exchange_weak(inside, inside + 1)) {
    }
    if (inside < kOpen) continue;
    drain(worker);
    inside_.fetch_sub(1);
  }
}

}  // namespace albench
