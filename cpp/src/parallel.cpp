#include "albench/parallel.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

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

struct ThreadPool::Crew {
  void work(int worker);
  void drain(int worker);

  std::mutex mutex;
  std::condition_variable wake;
  const std::function<void(Index, int)>* task = nullptr;
  const Poll* poll = nullptr;
  Index n_tasks = 0;
  std::atomic<Index> next{0};
  std::atomic<int> inside{0};  // workers at the current tasks, plus a large number while they may come in
  std::atomic<std::uint64_t> generation{0};
  std::atomic<bool> stop{false};
  std::exception_ptr error;
};

ThreadPool::ThreadPool(int n_threads) {
  if (n_threads < 2) return;
  crew_ = std::make_shared<Crew>();
  try {
    for (int w = 1; w < n_threads; ++w) {
      std::thread([crew = crew_, w] { crew->work(w); }).detach();
      ++n_workers_;
    }
  } catch (const std::system_error&) {  // a limit on processes; results do not depend on their number
  }
}

ThreadPool::~ThreadPool() {
  if (!crew_) return;
  {
    const std::scoped_lock lock(crew_->mutex);
    crew_->stop.store(true);
    crew_->generation.fetch_add(1);
  }
  crew_->wake.notify_all();
}

void ThreadPool::Crew::drain(int worker) {
  try {
    for (Index t = next.fetch_add(1); t < n_tasks; t = next.fetch_add(1)) {
      (*task)(t, worker);
      if (worker == 0 && *poll) (*poll)();
    }
  } catch (...) {
    next.store(n_tasks);
    const std::scoped_lock lock(mutex);
    if (!error) error = std::current_exception();
  }
}

void ThreadPool::run(Index n_tasks, const std::function<void(Index, int)>& task, const Poll& poll) {
  if (n_tasks <= 0) return;
  if (n_workers_ == 0 || n_tasks == 1) {
    for (Index t = 0; t < n_tasks; ++t) {
      task(t, 0);
      if (poll) poll();
    }
    return;
  }
  Crew& crew = *crew_;
  crew.task = &task;
  crew.poll = &poll;
  crew.n_tasks = n_tasks;
  crew.next.store(0);
  crew.inside.store(kOpen);
  {
    const std::scoped_lock lock(crew.mutex);
    crew.generation.fetch_add(1);
  }
  crew.wake.notify_all();
  crew.drain(0);
  // No task is left to hand out. Who has come in finishes; who has not woken up yet is not waited for, as on
  // a busy machine that may take long.
  crew.inside.fetch_sub(kOpen);
  for (int spin = 0; crew.inside.load() != 0; ++spin) {
    if (spin < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
  if (crew.error) {
    const std::exception_ptr error = crew.error;
    crew.error = nullptr;
    std::rethrow_exception(error);
  }
  if (poll) poll();
}

void ThreadPool::Crew::work(int worker) {
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation.load() == seen; ++spin) relax();
    if (generation.load() == seen) {
      std::unique_lock<std::mutex> lock(mutex);
      wake.wait(lock, [&] { return generation.load() != seen; });
    }
    seen = generation.load();
    if (stop.load()) return;
    int now = inside.load();
    while (now >= kOpen && !inside.compare_exchange_weak(now, now + 1)) {
    }
    if (now < kOpen) continue;
    drain(worker);
    inside.fetch_sub(1);
  }
}

}  // namespace albench
