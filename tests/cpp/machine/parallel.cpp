// Threads: shares, limits by OpenMP, the environment and cgroups, interruption. Teams are in team.cpp.
// That the number of threads does not change a result is tested in network/ and training/.
#include "machine/parallel.h"

#include <omp.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "machine/team.h"
#include "support/helpers.h"
#include "support/process.h"

using namespace retrograd;
using namespace retrograd::testing;

// This comes first in the file, because a process that has had a team has lost it in every child.
TEST_CASE("a child forked in the midst of a call that had no team has all threads") {
  const OpenMpThreads four(4);
  const Environment wish("OMP_NUM_THREADS", "4");
  int offered = 0;
  const Team alone;
  offered = in_child([] { return max_threads() == 1 ? 99 : team_size(1e12, 1000, {}); });
  if (offered != 99) CHECK(offered == 4);
}

TEST_CASE("shares of a team: whole, in order, nearly equal") {
  for (int size = 1; size <= 17; ++size) {
    for (const Index count : {0, 1, 2, 3, 7, 8, 15, 16, 17, 64, 100, 1000, 1 << 20}) {
      CAPTURE(size);
      CAPTURE(count);
      Index next = 0;
      for (int id = 0; id < size; ++id) {
        const Share share{id, size};
        CHECK(share.begin(count) == next);
        next = share.end(count);
        CHECK(next - share.begin(count) >= count / size);
        CHECK(next - share.begin(count) <= (count + size - 1) / size);
      }
      CHECK(next == count);
    }
  }
  const Index huge = std::numeric_limits<Index>::max();
  CHECK(Share{6, 7}.end(huge) == huge);
}

TEST_CASE("max_threads: the environment and OpenMP's limit count at each call") {
  const OpenMpThreads five(5);
  for (int n = 1; n <= 7; ++n) {
    const Environment wish("OMP_NUM_THREADS", std::to_string(n).c_str());
    CHECK(max_threads() == std::min(n, 5));
  }
  const Environment list("OMP_NUM_THREADS", "3,2");
  CHECK(max_threads() == 3);
  const OpenMpThreads one(1);
  CHECK(max_threads() == 1);
}

TEST_CASE("max_threads: without a wish, no more than the CPUs that the process may use") {
  const OpenMpThreads many(64);
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  for (const char* none : {static_cast<const char*>(nullptr), "", "0", "-3", "many"}) {
    const Environment wish("OMP_NUM_THREADS", none);
    CHECK(max_threads() >= 1);
    CHECK(max_threads() <= CPU_COUNT(&all));
    if (const int quota = cgroup_cpus("")) CHECK(max_threads() <= quota);
  }
  const Environment wish("OMP_NUM_THREADS", nullptr);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  }
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(max_threads() == 1);
  REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
}

TEST_CASE("team_size: by work, shares, wish and limit") {
  const OpenMpThreads many(64);
  const Environment wish("OMP_NUM_THREADS", "64");
  const double unit = kFlopsPerThread;
  CHECK(team_size(1e12, 1000, {}) == 64);
  CHECK(team_size(1e12, 1000, {3}) == 3);
  CHECK(team_size(1e12, 1000, {1}) == 1);
  CHECK(team_size(1e12, 1000, {100}) == 64);
  CHECK(team_size(1e12, 5, {}) == 5);
  CHECK(team_size(1e12, 1, {}) == 1);
  CHECK(team_size(1e12, 0, {}) == 1);
  CHECK(team_size(0, 1000, {}) == 1);
  CHECK(team_size(1.99 * unit, 1000, {}) == 1);
  CHECK(team_size(2.01 * unit, 1000, {}) == 2);
  CHECK(team_size(7.5 * unit, 1000, {}) == 7);
  CHECK(team_size(7.5 * unit, 1000, {4}) == 4);
  CHECK(team_size(0, 0, {1, 7}) == 7);  // forced
  const Environment two("OMP_NUM_THREADS", "2");
  CHECK(team_size(1e12, 1000, {}) == 2);
  CHECK(team_size(1e12, 1000, {8}) == 2);
}

TEST_CASE("team_size: calls at the same time share the threads, each has one") {
  const OpenMpThreads four(4);
  const Environment four_wanted("OMP_NUM_THREADS", "4");  // holds on a machine of one CPU too
  const int all = max_threads();
  REQUIRE(all == 4);
  const auto offered = [] { return team_size(1e12, 1000, {}); };
  CHECK(offered() == all);
  for (const int size : {1, 2, 3}) {
    const Team team(size);
    CHECK(offered() == std::max(1, all - team.size()));
  }
  CHECK(offered() == all);  // given back
  const Team one;
  CHECK(team_size(1e12, 1000, {1}) == 1);
  const Team another;
  CHECK(offered() == std::max(1, all - 2));
}

// ---------------------------------------------------------------------------------------------- cgroups

namespace {

// A folder that stands for the file system.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "retrograd_cgroup_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
  }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;
  ~FakeRoot() { std::filesystem::remove_all(path_); }

  FakeRoot& with(const std::string& file, const std::string& content) {
    const std::filesystem::path full = path_ / file;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << content << "\n";
    return *this;
  }
  int cpus() const { return cgroup_cpus(path_.string()); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("cgroup v2: the quota of the group and of those above") {
  CHECK(FakeRoot().cpus() == 0);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").cpus() == 0);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "max 100000").cpus() == 0);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "200000 100000").cpus() == 2);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "250000 100000").cpus() == 3);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "5000 100000").cpus() == 1);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "nonsense").cpus() == 0);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "").cpus() == 0);
  CHECK(FakeRoot().with("proc/self/cgroup", "0::/").with("sys/fs/cgroup/cpu.max", "200000 0").cpus() == 0);
  CHECK(FakeRoot().with("proc/self/cgroup", "nonsense").cpus() == 0);

  FakeRoot nested;
  nested.with("proc/self/cgroup", "0::/kubepods/pod1/box")
      .with("sys/fs/cgroup/kubepods/cpu.max", "800000 100000")
      .with("sys/fs/cgroup/kubepods/pod1/cpu.max", "300000 100000")
      .with("sys/fs/cgroup/kubepods/pod1/box/cpu.max", "max 100000");
  CHECK(nested.cpus() == 3);
  nested.with("sys/fs/cgroup/kubepods/pod1/box/cpu.max", "100000 50000");
  CHECK(nested.cpus() == 2);

  // Inside a container the path may name a group of the host; then what is seen at the root counts.
  FakeRoot inside;
  inside.with("proc/self/cgroup", "0::/host/only").with("sys/fs/cgroup/cpu.max", "400000 100000");
  CHECK(inside.cpus() == 4);
}

TEST_CASE("cgroup v1: the cpu controller, alone or with cpuacct, nested") {
  const auto set = [](FakeRoot& root, const std::string& folder, const char* quota) {
    root.with("sys/fs/cgroup/" + folder + "/cpu.cfs_quota_us", quota)
        .with("sys/fs/cgroup/" + folder + "/cpu.cfs_period_us", "100000");
  };
  {
    FakeRoot root;
    root.with("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/a/b\n2:cpuset:/a");
    CHECK(root.cpus() == 0);
    set(root, "cpu,cpuacct/a/b", "-1");
    CHECK(root.cpus() == 0);
    set(root, "cpu,cpuacct/a", "600000");
    CHECK(root.cpus() == 6);
    set(root, "cpu,cpuacct/a/b", "150000");
    CHECK(root.cpus() == 2);
    set(root, "cpuset/a", "100000");  // not the cpu controller
    set(root, "memory/a", "100000");
    CHECK(root.cpus() == 2);
  }
  {
    FakeRoot root;
    root.with("proc/self/cgroup", "1:cpuacct,cpu:/x\n0::/y");
    set(root, "cpu", "500000");
    CHECK(root.cpus() == 5);
    root.with("sys/fs/cgroup/y/cpu.max", "400000 100000");  // of both hierarchies, the tighter limit counts
    CHECK(root.cpus() == 4);
  }
  {
    FakeRoot root;
    root.with("proc/self/cgroup", "1:cpu:/x").with("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "200000");  // no period
    CHECK(root.cpus() == 0);
  }
}

// ---------------------------------------------------------------------------------------------- interruption

namespace {

struct Asked {
  int times = 0;
  int stop_at = 1;
  static bool ask(void* context) {
    Asked& asked = *static_cast<Asked*>(context);
    return ++asked.times >= asked.stop_at;
  }
  Poll poll() { return {ask, this}; }
};

void wait_for_the_clock() { std::this_thread::sleep_for(std::chrono::milliseconds(25)); }

}  // namespace

TEST_CASE("interrupt: asked every 20 ms, by member 0 alone, after enough work; seen by all") {
  Asked asked;
  asked.stop_at = 2;
  Interrupt interrupt(asked.poll());
  InterruptWatch first(interrupt), second(interrupt, 1);
  wait_for_the_clock();
  CHECK_FALSE(first.spent(9e5));  // this is too little work to look at the clock
  CHECK(asked.times == 0);
  CHECK_FALSE(second.spent(1e9));  // another member does not look at the clock
  CHECK(asked.times == 0);
  CHECK_FALSE(first.spent(2e5));
  CHECK(asked.times == 1);
  const auto before = std::chrono::steady_clock::now();
  const bool stopped = first.spent(1e9);
  if (std::chrono::steady_clock::now() - before < std::chrono::milliseconds(10)) {  // if it took longer, the machine was busy
    CHECK_FALSE(stopped);                                                           // too soon
    CHECK(asked.times == 1);
  }
  asked.times = 1;
  wait_for_the_clock();
  CHECK_FALSE(interrupt.stopped());
  CHECK(first.spent(1e9));
  CHECK(asked.times == 2);
  CHECK(interrupt.stopped());
  CHECK(second.spent(1e9));
  CHECK(first.spent(1e9));
}

TEST_CASE("interrupt: nobody to ask, nothing to stop") {
  Interrupt interrupt{Poll{}};
  InterruptWatch watch(interrupt);
  wait_for_the_clock();
  CHECK_FALSE(watch.spent(1e9));
  CHECK_FALSE(interrupt.stopped());
}

TEST_CASE("openmp_description says something") { CHECK(openmp_description().find("OpenMP") != std::string::npos); }
