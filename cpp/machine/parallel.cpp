// See parallel.h.
#include "machine/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace retrograd {
namespace {

std::atomic<bool> team_used{false};  // a team of two or more has run in this process
// True where a team ran in a parent before it forked, or where OpenMP itself does not survive a fork.
std::atomic<bool> team_is_lost{false};
std::atomic<int> busy{0};  // threads at work in all calls of this process
std::atomic<std::uint32_t> fork_count{0};

// libgomp keeps the threads of a region for the next one, and in a child it would wait for them
// forever. So it is told to let them go, always: they may belong to another library that shares this
// libgomp, and then nothing here knows of them.
void before_fork() {
#if !defined(__clang__)
  omp_pause_resource_all(omp_pause_soft);
#endif
}

// libomp begins anew in a child by itself, unless the environment tells it not to; importing scikit-learn sets
// that for the whole process. libomp then waits forever for the threads that the parent had, whoever used them.
bool openmp_is_lost() {
#if defined(__clang__)
  const char* begins = std::getenv("KMP_INIT_AT_FORK");
  return begins && !std::strchr("1tTyY", begins[0]);
#else
  return false;
#endif
}

void after_fork_in_child() {
  team_is_lost.store(team_is_lost.load() || team_used.load() || openmp_is_lost());
  busy.store(0);  // the threads that were at work are not in the child
  fork_count.fetch_add(1);
}

[[maybe_unused]] const int registered = pthread_atfork(before_fork, nullptr, after_fork_in_child);

int affinity_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return omp_get_num_procs();
  return std::max(1, CPU_COUNT(&set));
}

// The first number of OMP_NUM_THREADS (which may be a list), or 0.
int environment_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (!text) return 0;
  const long n = std::strtol(text, nullptr, 10);
  return n > 0 && n < std::numeric_limits<int>::max() ? static_cast<int>(n) : 0;
}

int quota_cpus(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(std::ceil(quota / period))) : 0;
}

// A stream that lets std::bad_alloc out. Other streams take it for the end of the file, and
// a quota would be overlooked.
struct File : std::ifstream {
  explicit File(const std::string& path) : std::ifstream(path) { exceptions(std::ios::badbit); }
};

// cpu.max of cgroup v2: "max 100000" or "200000 100000".
int read_v2(const std::string& path) {
  File file(path);
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 0;
  return quota_cpus(std::atof(quota.c_str()), period);
}

int read_v1(const std::string& folder) {
  File quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return 0;
  return quota_cpus(quota, period);
}

int tighter(int a, int b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

}  // namespace

int cgroup_cpus(const std::string& root) try {
  int limit = 0;
  File file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    // The limits of the groups above count too. Inside a container the path may lead nowhere; the root
    // is then this process's group.
    for (std::string path = line.substr(second + 1);;) {
      const std::string tail = path == "/" ? "" : path;
      limit = v2 ? tighter(limit, read_v2(root + "/sys/fs/cgroup" + tail + "/cpu.max"))
                 : tighter(limit, tighter(read_v1(root + "/sys/fs/cgroup/cpu" + tail),
                                          read_v1(root + "/sys/fs/cgroup/cpu,cpuacct" + tail)));
      if (tail.empty()) break;
      const auto slash = path.rfind('/');
      path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
    }
  }
  return limit;
} catch (const std::ios_base::failure&) {  // the file cannot be read
  return 0;
}

int max_threads() {
  if (team_is_lost.load(std::memory_order_relaxed)) return 1;
  int n = std::max(1, omp_get_max_threads());
  if (const int wish = environment_threads()) return std::min(n, wish);
  static const int quota = cgroup_cpus("");
  n = std::min(n, affinity_cpus());
  return quota ? std::min(n, quota) : n;
}

int threads_that_pay(double flops, Index shares, int limit) {
  const double n = std::min({flops / kFlopsPerThread, static_cast<double>(shares), static_cast<double>(limit)});
  return std::max(1, static_cast<int>(n));
}

int team_size(double flops, Index shares, Threads threads) {
  if (threads.exactly > 0) return team_is_lost.load() ? 1 : threads.exactly;
  if (threads.wish == 1 || shares <= 1 || flops < 2 * kFlopsPerThread) return 1;  // decided without asking the system
  const int free = std::max(1, max_threads() - busy.load(std::memory_order_relaxed));
  return threads_that_pay(flops, shares, threads.wish > 0 ? std::min(free, threads.wish) : free);
}

bool plans_are_measured() {
  static const bool measured = [] {
    const char* text = std::getenv("RETROGRAD_PLAN");
    if (!text || !*text) return true;
    if (std::string(text) == "default") return false;
    throw std::invalid_argument("RETROGRAD_PLAN: expected default, or nothing, got " + std::string(text));
  }();
  return measured;
}

int threads_in_use() { return busy.load(std::memory_order_relaxed); }

std::string openmp_description() {
  std::ostringstream text;
#if defined(__clang__)
  text << "libomp";
#else
  text << "libgomp";
#endif
  text << " (OpenMP " << _OPENMP << "), " << omp_get_num_procs() << " CPUs";
  return text.str();
}

std::uint32_t forks() { return fork_count.load(std::memory_order_relaxed); }

bool threads_are_lost() { return team_is_lost.load(std::memory_order_relaxed); }

void note_team() { team_used.store(true); }

// OpenMP ends the process where it cannot start a thread (a limit of memory or of processes), so they are
// started here first, where a failure can be seen.
bool can_start(int threads) {
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
  } gate;
  bool all = true;
  std::vector<std::thread> started;
  try {
    started.reserve(static_cast<std::size_t>(threads));
    for (int i = 0; i < threads; ++i) {
      started.emplace_back([&gate] {  // each waits for the others, so that all live at once
        std::unique_lock<std::mutex> lock(gate.mutex);
        gate.opened.wait(lock, [&gate] { return gate.open; });
      });
    }
  } catch (const std::exception&) {
    all = false;
  }
  {
    const std::lock_guard<std::mutex> lock(gate.mutex);
    gate.open = true;
  }
  gate.opened.notify_all();
  for (std::thread& thread : started) thread.join();
  return all;
}

Busy::Busy(int threads) : threads_(threads), since_(forks()) { busy.fetch_add(threads_, std::memory_order_relaxed); }

void Busy::become(int threads) {
  if (since_ == forks()) busy.fetch_add(threads - threads_, std::memory_order_relaxed);
  threads_ = threads;
}

void Interrupt::look() {
  if (!poll_.ask) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - asked_ < std::chrono::milliseconds(20)) return;
  if (poll_.ask(poll_.context)) stop_.store(true, std::memory_order_relaxed);
  asked_ = std::chrono::steady_clock::now();
  seconds_ += std::chrono::duration<double>(asked_ - now).count();
}

}  // namespace retrograd
