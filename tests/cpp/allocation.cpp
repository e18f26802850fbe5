// Memory that cannot be had, and memory that is not asked for: every allocation of every call fails
// once, and a steady step makes none. This is an executable of its own, because it replaces the
// operators new and delete and wraps aligned_alloc.
#include "network/stages.h"
#include "support/networks.h"
#include "training/optimizer.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// The number of allocations since the last start, and which one fails (0: none). They count for all threads.
struct Allocations {
  std::atomic<long> made{0}, live{0}, fail_at{0};

  bool refused() { return ++made == fail_at; }
} allocations;

void* counted(void* p) {
  if (p) ++allocations.live;
  return p;
}

void released(void* p) {
  if (p) --allocations.live;
}

}  // namespace

extern "C" {
void* __real_aligned_alloc(std::size_t align, std::size_t size);
void __real_free(void* p);
void* __wrap_aligned_alloc(std::size_t align, std::size_t size);
void __wrap_free(void* p);

// The linker sends the core's calls here (--wrap).
void* __wrap_aligned_alloc(std::size_t align, std::size_t size) {
  return allocations.refused() ? nullptr : counted(__real_aligned_alloc(align, size));
}
void __wrap_free(void* p) {
  released(p);
  __real_free(p);
}
}

void* operator new(std::size_t size) {
  void* p = allocations.refused() ? nullptr : counted(std::malloc(size ? size : 1));
  if (!p) throw std::bad_alloc();
  return p;
}
void* operator new(std::size_t size, std::align_val_t align) {
  const auto line = static_cast<std::size_t>(align);
  void* p = allocations.refused() ? nullptr : counted(__real_aligned_alloc(line, (size + line - 1) / line * line));
  if (!p) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { __wrap_free(p); }
void operator delete(void* p, std::size_t) noexcept { __wrap_free(p); }
void operator delete(void* p, std::align_val_t) noexcept { __wrap_free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { __wrap_free(p); }

namespace {

const Spec kSpec{{20, 33, 6}, {kRelu, kIdentity}, Loss::mse};

// The result of a call whose nth allocation failed.
struct Attempt {
  bool failed = false;  // std::bad_alloc was thrown
  long made = 0, leaked = 0;
};

template <class Call>
Attempt attempt(long n, Call call) {
  Attempt result;
  const long live = allocations.live;
  allocations.made = 0;
  allocations.fail_at = n;
  try {
    call();
  } catch (const std::bad_alloc&) {
    result.failed = true;
  }
  allocations.fail_at = 0;
  result.made = allocations.made;
  result.leaked = allocations.live - live;
  return result;
}

// Calls call() again and again: its first allocation fails, then its second, and so on, until a run
// needs no more. After each failure std::bad_alloc must have come out, kept() must say that nothing
// changed, and nothing may be leaked. Returns how many allocations failed.
template <class Call, class Kept>
long fail_each(Call call, Kept kept) {
  call();  // this makes what is made once for the process
  for (long n = 1;; ++n) {
    const Attempt result = attempt(n, call);
    if (!result.failed) {
      CHECK(result.made == n - 1);  // if a failure went unnoticed, there would be one more
      return n - 1;
    }
    CAPTURE(n);
    CHECK(kept());
    CHECK(result.leaked == 0);
  }
}

template <class F>
long allocations_of(F call) {
  allocations.made = 0;
  call();
  return allocations.made;
}

}  // namespace

TEST_CASE_TEMPLATE("construction: any allocation may fail", T, float, double) {
  const long live = allocations.live;
  CHECK(fail_each([] { make_network<T>(kSpec); }, [] { return true; }) >= 3);
  const Network<T> network = make_network<T>(kSpec);
  for (const Purpose purpose : {Purpose::inference, Purpose::training, Purpose::by_hand}) {
    for (const Index batch : {3, 9, 40}) {
      CHECK(fail_each([&] { Workspace<T>(network, batch, purpose); }, [] { return true; }) > 3);
    }
  }
  CHECK(allocations.live > live);  // the network
}

TEST_CASE_TEMPLATE("a training epoch: any allocation may fail; the network and the optimiser are as before", T, float, double) {
  for (const Index batch : {3, 9, 40}) {
    for (const int team : {1, 3}) {
      CAPTURE(batch);
      CAPTURE(team);
      const Data<T> data(kSpec, 100);
      EpochArgs<T> args = arguments(data, batch);
      args.planning.mode = Planning::Mode::fixed;
      args.threads.exactly = team;
      Network<T> network = make_network<T>(kSpec);
      const std::vector<T> before = copy_of(network.parameters());
      const std::uint64_t version = network.version;
      Network<T> average = make_network<T>(kSpec);
      args.average = &average;
      const auto all_new = [&] {
        Network<T> fresh = make_network<T>(kSpec);
        Optimizer<T> state = make_optimizer(fresh);
        Trainer<T>(fresh).epoch(args, state);
      };
      CHECK(fail_each(all_new, [] { return true; }) > 10);
      // One trainer goes on after each failure.
      Trainer<T> trainer(network);
      Optimizer<T> state = make_optimizer(network);
      long made = 0;
      const std::uint64_t steps = average.steps;
      while (attempt(made + 1, [&] { trainer.epoch(args, state); }).failed) {
        ++made;
        CHECK(network.version == version);
        CHECK(same(copy_of(network.parameters()), before));
        CHECK(average.steps == steps);
      }
      CHECK(made >= 1);
      Network<T> other = make_network<T>(kSpec);
      Optimizer<T> other_state = make_optimizer(other);
      Trainer<T>(other).epoch(args, other_state);
      CHECK(same(copy_of(network.parameters()), copy_of(other.parameters())));
    }
  }
}

TEST_CASE_TEMPLATE(
    "while plans are measured, any allocation may fail: the epoch fails before its first step, or it does the same", T, float,
    double) {
  long missed = 0;  // failures of memory for another plan: the one that has its memory goes on
  for (const Index batch : {3, 40}) {
    CAPTURE(batch);
    const Data<T> data(kSpec, 20 * batch);
    EpochArgs<T> args = arguments(data, batch);
    args.threads.exactly = 2;
    std::vector<T> want;
    for (long n = 0;; ++n) {  // 0: none fails
      plans_forget();
      Network<T> network = make_network<T>(kSpec);
      const std::vector<T> before = copy_of(network.parameters());
      Trainer<T> trainer(network);
      Optimizer<T> state = make_optimizer(network);
      const Attempt result = attempt(n, [&] { trainer.epoch(args, state); });
      if (n == 0) want = copy_of(network.parameters());
      CHECK(same(copy_of(network.parameters()), result.failed ? before : want));
      if (n > 0 && !result.failed && result.made < n) break;
      missed += n > 0 && !result.failed;
    }
  }
  CHECK(missed > 0);
}

TEST_CASE_TEMPLATE("predict, classify, evaluate: any allocation may fail, with spare memory too", T, float, double) {
  const Spec spec{{20, 33, 6}, {kRelu, kIdentity}, Loss::cross_entropy, true};
  const Network<T> network = make_network<T>(spec);
  const std::vector<T> before = copy_of(network.parameters());
  const auto kept = [&] { return same(copy_of(network.parameters()), before); };
  for (const Index rows : {1, 5, 9, 300}) {
    for (const int team : {1, 3}) {
      const Data<T> data(spec, rows);
      std::vector<T> out(static_cast<std::size_t>(rows * 6)), want(out);
      std::vector<std::int64_t> labels(static_cast<std::size_t>(rows));
      REQUIRE(predict(network, data.inputs_view(), true, want.data(), {1}, {}));
      CHECK(fail_each([&] { predict(network, data.inputs_view(), true, out.data(), {0, team}, {}); }, kept) > 0);
      CHECK(same(out, want));
      CHECK(fail_each([&] { classify(network, data.inputs_view(), labels.data(), {0, team}, {}); }, kept) > 0);
      CHECK(fail_each(
                [&] {
                  SpareWorkspace<T> spare;
                  predict(network, data.inputs_view(), true, out.data(), {0, team}, {}, &spare);
                },
                kept) > 0);
      CHECK(same(out, want));
      CHECK(fail_each(
                [&] {
                  Score score;
                  evaluate(network, data.inputs_view(), data.targets(), score, {0, team}, {});
                },
                kept) > 0);
    }
  }
}

TEST_CASE_TEMPLATE("spare memory that cannot be made larger: the next call finds its way", T, float, double) {
  const Network<T> network = make_network<T>(kSpec);
  const Data<T> data(kSpec, 60);
  std::vector<T> want(60 * 6), out(60 * 6);
  REQUIRE(predict(network, data.inputs_view(), false, want.data(), {1}, {}));
  SpareWorkspace<T> spare;
  Rows few = data.inputs_view();
  few.rows = 10;
  REQUIRE(predict(network, few, false, out.data(), {1}, {}, &spare));
  CHECK(attempt(1, [&] { predict(network, data.inputs_view(), false, out.data(), {1}, {}, &spare); }).failed);
  REQUIRE(predict(network, data.inputs_view(), false, out.data(), {1}, {}, &spare));
  CHECK(same(out, want));
}

TEST_CASE_TEMPLATE("the stages: any allocation may fail; what there was of them is not taken for good", T, float, double) {
  Network<T> network = make_network<T>(kSpec);
  const Data<T> data(kSpec, 37), more(kSpec, 50);
  const std::vector<T> before = copy_of(network.parameters());
  const auto kept = [&] { return same(copy_of(network.parameters()), before); };
  for (const int team : {1, 3}) {
    CHECK(fail_each(
              [&] {
                Stages<T> stages(network);
                double loss = 0;
                stages.forward(data.inputs_view(), {0, team}, {});
                stages.backward(data.targets(), loss, {0, team}, {});
                Panels<T> dx;
                stages.input_gradient(dx, {team});
              },
              kept) > 5);
    Stages<T> stages(network);
    REQUIRE(stages.forward(data.inputs_view(), {0, team}, {}));
    long made = 0;  // another batch size needs new memory
    for (; attempt(made + 1, [&] { stages.forward(more.inputs_view(), {0, team}, {}); }).failed; ++made) {
      CHECK_FALSE(stages.has_forward());
      CHECK_FALSE(stages.has_backward());
    }
    CHECK(made > 5);
    CHECK(stages.has_forward());
    double loss = 0;
    REQUIRE(stages.backward(more.targets(), loss, {0, team}, {}));

    Optimizer<T> state = make_optimizer(network);  // this step makes the velocity
    StoredGradients<T> stored;
    CHECK(attempt(1, [&] { apply_update(network, stages.work().gradients(), state, stored, {}); }).failed);
    CHECK(kept());
  }
}

TEST_CASE("the CPUs of the container: a failed allocation does not make the limit another") {
  const int cpus = cgroup_cpus("");
  int found = cpus;
  fail_each([&] { found = cgroup_cpus(""); }, [&] { return true; });
  CHECK(found == cpus);
}

// ---------------------------------------------------------------------------------------------- none in a steady step

TEST_CASE_TEMPLATE("a steady step allocates nothing, nor does an epoch after the first", T, float, double) {
  for (const Index batch : {3, 9, 40}) {
    for (const int team : {1, 3}) {
      CAPTURE(batch);
      CAPTURE(team);
      const Data<T> data(kSpec, 50 * batch + 1);
      Network<T> network = make_network<T>(kSpec);
      Trainer<T> trainer(network);
      Optimizer<T> state = make_optimizer(network);
      EpochArgs<T> args = arguments(data, batch);
      args.planning.mode = Planning::Mode::fixed;
      args.threads.exactly = team;
      trainer.epoch(args, state);
      CHECK(allocations_of([&] { trainer.epoch(args, state); }) == 0);

      // The first epoch allocates as much in two steps as in fifty.
      const auto of_first = [&](Index rows) {
        Network<T> fresh = make_network<T>(kSpec);
        Trainer<T> first(fresh);
        Optimizer<T> fresh_state = make_optimizer(fresh);
        EpochArgs<T> part = args;
        part.x.rows = rows;
        return allocations_of([&] { first.epoch(part, fresh_state); });
      };
      CHECK(of_first(2 * batch) == of_first(50 * batch));
    }
  }
}

TEST_CASE_TEMPLATE("a small predict with spare memory allocates nothing, nor do the stages on a batch of the same size", T,
                   float, double) {
  Network<T> network = make_network<T>(kSpec);
  const Data<T> data(kSpec, 40);
  std::vector<T> out(40 * 6);
  SpareWorkspace<T> spare;
  for (const Index rows : {1, 9, 40}) {
    Rows part = data.inputs_view();
    part.rows = rows;
    predict(network, part, false, out.data(), {1}, {}, &spare);
    CHECK(allocations_of([&] { predict(network, part, false, out.data(), {1}, {}, &spare); }) == 0);
  }
  Stages<T> stages(network);
  Optimizer<T> state = make_optimizer(network);
  StoredGradients<T> stored;
  const auto step = [&] {
    double loss = 0;
    stages.forward(data.inputs_view(), {0, 2}, {});
    stages.backward(data.targets(), loss, {0, 2}, {});
    apply_update(network, stages.work().gradients(), state, stored, {});
  };
  step();
  CHECK(allocations_of(step) == 0);
}
