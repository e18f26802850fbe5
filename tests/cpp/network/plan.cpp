// The plans that are tried: for every network, batch and limit they can be run, they begin with the first guess, and
// what is known to win is among them. Nothing runs here; that all plans give the same bits is tested where they run.
#include "network/plan.h"

#include "base/choices.h"
#include "network/network.h"
#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

Shape shape_of(std::vector<Index> sizes) {
  Shape shape;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    shape.flops_per_row += 2.0 * static_cast<double>(sizes[l] * sizes[l + 1]) * (l == 0 ? 2 : 3) +
                           kActivationFlops * static_cast<double>(sizes[l + 1]);
  }
  shape.sizes = std::move(sizes);
  return shape;
}

Limits avx2(int threads = 2) {
  Limits limits;
  limits.threads = threads;
  limits.tiles = {8, 6, 1, 1};
  return limits;
}

Limits avx512(int threads, HalfVectors half) {
  Limits limits;
  limits.threads = threads;
  limits.tiles = {16, 8, 2, 2};
  limits.half = half;
  return limits;
}

std::vector<Plan> list(std::vector<Index> sizes, Index batch, const Limits& limits) {
  return candidates(shape_of(std::move(sizes)), batch, Source::float32, limits);
}

// All plans in words, one after the other.
std::string in_words(const std::vector<Plan>& plans) {
  std::string all;
  for (const Plan& plan : plans) all += (all.empty() ? "" : "; ") + describe(plan);
  return all;
}

template <class T>
bool alike(const T& a, const T& b) {
  return !(a < b) && !(b < a);
}

bool has(const std::vector<Plan>& plans, const std::string& words) {
  return std::any_of(plans.begin(), plans.end(), [&](const Plan& plan) { return describe(plan) == words; });
}

}  // namespace

TEST_CASE("a plan in words") {
  Plan plan;
  CHECK(describe(plan) == "panels, 1 thread");
  plan.way.first_rows = true;
  plan.team = 2;
  CHECK(describe(plan) == "first layer by rows, 2 threads by rows of the batch");
  plan.split = Split::first_layer;
  plan.chunk = 256;
  CHECK(describe(plan) == "first layer by rows, 2 threads by units of the first layer, 256 rows at a time");
  plan.split = Split::units;
  plan.way.few_rows = true;
  plan.vectors = Vectors::half;
  plan.chunk = 0;
  CHECK(describe(plan) == "few rows, 2 threads by units of each layer, half vectors");
  plan = {};
  plan.way.small = true;
  CHECK(describe(plan) == "small network, 1 thread");
  plan.way = {};
  plan.way.narrow = true;
  CHECK(describe(plan) == "narrow, 1 thread");
}

TEST_CASE("plans, shapes and limits that differ anywhere are different") {
  std::vector<Plan> plans(9);
  plans[1].way.first_rows = true;
  plans[2].way.few_rows = true;
  plans[3].way.small = true;
  plans[4].way.narrow = true;
  plans[5].team = 2;
  plans[6].split = Split::units;
  plans[7].vectors = Vectors::half;
  plans[8].chunk = 16;
  std::vector<Shape> shapes(8, shape_of({2, 3}));
  shapes[1].sizes = {2, 4};
  shapes[2].bytes = 8;
  shapes[3].flops_per_row += 1;
  shapes[4].perturbs = true;
  shapes[5].perturbs_inputs = true;
  shapes[6].normalises = true;
  shapes[7].normalises_batch = true;
  std::vector<Limits> limits(8, avx2());
  limits[1].threads = 3;
  limits[2].exactly = true;
  limits[3].tiles.width = 4;
  limits[4].tiles.mr = 4;
  limits[5].tiles.group = 2;
  limits[6].tiles.row_group = 2;
  limits[7].half = HalfVectors::as_fast;
  const auto check = [](const auto& values, auto same_as) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (std::size_t j = 0; j < values.size(); ++j) CHECK(same_as(values[i], values[j]) == (i == j));
    }
  };
  check(plans, [](const Plan& a, const Plan& b) { return a == b; });
  check(shapes, alike<Shape>);
  check(limits, alike<Limits>);
}

TEST_CASE("a network knows its shape") {
  Regularisation regularisation;
  regularisation.layers.resize(3);
  const std::vector<Activation> relu = {Activation::relu, Activation::relu, Activation::identity};
  const auto shape = [&] { return Network<float>({5, 7, 6, 3}, relu, Loss::mse, 0, regularisation).shape(); };
  Shape expected = shape_of({5, 7, 6, 3});
  CHECK(alike(shape(), expected));
  CHECK(expected.depth() == 3);
  CHECK(expected.inputs() == 5);
  CHECK(expected.outputs() == 3);
  regularisation.layers[0].dropout = 0.5;
  expected.perturbs = true;
  CHECK(alike(shape(), expected));
  regularisation.layers[0].dropout = 0;
  regularisation.input_noise = 0.5;
  expected.perturbs_inputs = true;
  CHECK(alike(shape(), expected));
  regularisation.input_noise = 0;
  expected.perturbs = expected.perturbs_inputs = false;
  regularisation.layers[1].norm = Norm::layer;
  expected.normalises = true;
  expected.flops_per_row += 6 * kActivationFlops;
  CHECK(alike(shape(), expected));
  regularisation.layers[1].norm = Norm::batch;
  expected.normalises_batch = true;
  CHECK(alike(shape(), expected));
  const Network<double> wide({5, 7, 6, 3}, relu, Loss::mse);
  CHECK(wide.shape().bytes == 8);
}

TEST_CASE("limits of kernels") {
  Kernels<float> kernels{};
  kernels.width = 16;
  kernels.group = 2;
  Limits limits = limits_of(kernels, 3);
  CHECK(limits.threads == 3);
  CHECK(limits.tiles.width == 16);
  CHECK(limits.half == HalfVectors::none);
  kernels.for_few_lanes = &kernels;
  kernels.few_lanes = 8;
  limits = limits_of(kernels, 1);
  CHECK(limits.half == HalfVectors::slower);
  kernels.few_lanes = 16;
  CHECK(limits_of(kernels, 1).half == HalfVectors::as_fast);
}

TEST_CASE("the plans of networks that are well known") {
  CHECK(in_words(list({2, 8, 2}, 4, avx2())) ==
        "small network, 1 thread; "
        "narrow, 1 thread");
  CHECK(in_words(list({8, 64, 64, 4}, 4, avx2())) ==
        "few rows, 1 thread; "
        "narrow, 1 thread; "
        "small network, 1 thread");
  CHECK(in_words(list({8, 64, 64, 4}, 8, avx2())) ==
        "small network, 1 thread; "
        "narrow, 1 thread; "
        "few rows, 1 thread");
  CHECK(in_words(list({8, 64, 64, 4}, 1, avx2())) ==
        "few rows, 1 thread; "
        "narrow, 1 thread");
  CHECK(in_words(list({4, 32, 16, 4}, 200, avx2())) ==
        "narrow, 1 thread; "
        "narrow, 2 threads by rows of the batch");
  CHECK(in_words(list({64, 64, 64, 64}, 32, avx2(1))) ==
        "narrow, 1 thread; "
        "panels, 1 thread");
  CHECK(in_words(list({784, 30, 10}, 16, avx2(1))) ==
        "first layer by rows, 1 thread; "
        "panels, 1 thread");
  CHECK(in_words(list({784, 128, 10}, 64, avx2())) ==
        "panels, 2 threads by units of the first layer; "
        "panels, 1 thread; "
        "first layer by rows, 2 threads by units of the first layer; "
        "first layer by rows, 1 thread; "
        "panels, 2 threads by rows of the batch");
  CHECK(in_words(list({784, 1024, 1024, 10}, 16, avx2())) ==
        "panels, 2 threads by units of each layer; "
        "panels, 1 thread");  // with so many units the gather is a small part
  CHECK(in_words(list({100, 200, 100, 10}, 4096, avx2())) ==
        "panels, 2 threads by rows of the batch; "
        "panels, 1 thread; "
        "panels, 2 threads by rows of the batch, 256 rows at a time");
}

TEST_CASE("teams: one for the work, and one thread beside it; a team of two from 10 us on") {
  const std::vector<Index> sizes = {20, 100, 10};
  const double per_row = shape_of(sizes).flops_per_row;
  for (Index batch = 1; batch < 600; ++batch) {
    const std::vector<Plan> plans = list(sizes, batch, avx2(2));
    const double flops = per_row * static_cast<double>(batch);
    const bool team_first = flops >= 2 * kFlopsPerThread && batch > 16;
    const bool team = flops >= kFlopsForTwo && batch > 16;
    CHECK((plans.front().team == 2) == team_first);
    CHECK(std::any_of(plans.begin(), plans.end(), [](const Plan& p) { return p.team == 2; }) == team);
    CHECK(std::any_of(plans.begin(), plans.end(), [](const Plan& p) { return p.team == 1; }));
    for (const Plan& plan : list(sizes, batch, avx2(1))) CHECK(plan.team == 1);
  }
  CHECK(list({784, 128, 10}, 64, avx2(8)).front().team == 8);
  CHECK(list({784, 128, 10}, 64, avx2(100)).front().team == 17);  // so many times 1.5 million flops
  Limits exactly = avx2(3);
  exactly.exactly = true;
  for (const Index batch : {1, 4, 16, 17, 64, 300}) {
    for (const Plan& plan : list({8, 64, 64, 4}, batch, exactly)) CHECK(plan.team == 3);
  }
}

TEST_CASE("the narrow way is for networks whose layers are all narrow, inputs included") {
  const auto narrow = [](const Shape& shape, Index batch) {
    const std::vector<Plan> plans = candidates(shape, batch, Source::float32, avx2());
    return std::any_of(plans.begin(), plans.end(), [](const Plan& plan) { return plan.way.narrow; });
  };
  for (const Index batch : {1, 16, 17, 1000}) {
    CHECK(narrow(shape_of({64, 64, 64}), batch));
    CHECK_FALSE(narrow(shape_of({65, 64, 64}), batch));
    CHECK_FALSE(narrow(shape_of({64, 65, 64}), batch));
    CHECK_FALSE(narrow(shape_of({64, 64, 65}), batch));
    Shape perturbs = shape_of({64, 64, 64}), normalises = perturbs;
    perturbs.perturbs = true;
    normalises.normalises = true;
    CHECK_FALSE(narrow(perturbs, batch));
    CHECK_FALSE(narrow(normalises, batch));
  }
}

TEST_CASE("chunks: of narrow networks, and of batches whose activations leave the second cache") {
  CHECK(list({4, 32, 16, 4}, 100, avx2(1)).front().chunk == 0);
  CHECK(list({4, 32, 16, 4}, 400, avx2(1)).front().chunk == 208);  // two equal ones
  CHECK(list({4, 32, 16, 4}, 10000, avx2(1)).front().chunk == 256);
  CHECK(list({64, 64, 64, 64}, 512, avx2(1)).front().chunk == 96);
  CHECK(list({4, 32, 16, 4}, 10000, avx2(2)).front().chunk == 512);  // for two members
  const std::vector<Index> wide = {20, 200, 200, 10};
  CHECK_FALSE(has(list(wide, 128, avx2(1)), "panels, 1 thread, 128 rows at a time"));
  CHECK(list(wide, 128, avx2(1)).size() == 1);
  CHECK(has(list(wide, 2048, avx2(1)), "panels, 1 thread, 128 rows at a time"));
  // Beyond some width it is the weights that leave the cache.
  for (const Plan& plan : list({784, 1024, 1024, 10}, 4096, avx2(1))) CHECK(plan.chunk == 0);
}

TEST_CASE("half vectors: where they are as fast, or where long ones would be half empty") {
  const auto halves = [](std::vector<Index> sizes, Index batch, HalfVectors half) {
    const std::vector<Plan> plans = list(std::move(sizes), batch, avx512(1, half));
    return std::count_if(plans.begin(), plans.end(), [](const Plan& plan) { return plan.vectors == Vectors::half; });
  };
  for (const Index batch : {16, 64, 200}) {
    CHECK(halves({784, 128, 10}, batch, HalfVectors::none) == 0);
    CHECK(halves({784, 128, 10}, batch, HalfVectors::slower) == (batch == 16 ? 1 : 0));
    CHECK(halves({784, 128, 10}, batch, HalfVectors::as_fast) == 1);
  }
  // Small and narrow networks take them by themselves.
  CHECK(halves({4, 8, 2}, 100, HalfVectors::as_fast) == 0);
  CHECK(halves({2, 8, 2}, 4, HalfVectors::as_fast) == 0);
}

TEST_CASE("rows that must be converted are not in place") {
  const Shape shape = shape_of({784, 128, 10});
  const auto ways = [&](Index batch, Source source) {
    const std::vector<Plan> plans = candidates(shape, batch, source, avx2(1));
    return std::count_if(plans.begin(), plans.end(), [](const Plan& plan) { return plan.chunk == 0; });
  };
  CHECK(ways(200, Source::float32) == 2);
  CHECK(ways(200, Source::uint8) == 1);
  CHECK(ways(128, Source::uint8) == 2);
  CHECK(ways(257, Source::float32) == 1);
}

TEST_CASE("every candidate can run, and the first is the first guess") {
  for (const std::vector<Index>& sizes : std::vector<std::vector<Index>>{{1, 1},
                                                                         {64, 64},
                                                                         {2, 8, 2},
                                                                         {8, 64, 64, 4},
                                                                         {784, 10},
                                                                         {784, 30, 10},
                                                                         {784, 128, 10},
                                                                         {300, 256, 10},
                                                                         {65, 65, 65}}) {
    for (int flags = 0; flags < 4; ++flags) {
      Shape shape = shape_of(sizes);
      shape.perturbs = flags == 1 || flags == 2;
      shape.perturbs_inputs = flags == 2;
      shape.normalises = shape.normalises_batch = flags == 3;
      for (const int threads : {1, 2, 3, 16}) {
        for (const Limits& limits :
             {avx2(threads), avx512(threads, HalfVectors::slower), avx512(threads, HalfVectors::as_fast)}) {
          for (const Index batch : {1, 2, 5, 6, 12, 13, 16, 17, 32, 64, 100, 129, 256, 257, 1000, 5000}) {
            const std::vector<Plan> plans = candidates(shape, batch, Source::float32, limits);
            CAPTURE(batch);
            CAPTURE(in_words(plans));
            REQUIRE(!plans.empty());
            CHECK(plans.size() <= kMostCandidates);
            const bool plain = !shape.normalises && !shape.perturbs;
            bool alone = false;
            for (std::size_t i = 0; i < plans.size(); ++i) {
              const Plan& plan = plans[i];
              const Way& way = plan.way;
              alone |= plan.team == 1;
              for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(plan == plans[j]);
              CHECK(plan.team >= 1);
              CHECK(plan.team <= threads);
              CHECK((plain || !(way.few_rows || way.small || way.narrow)));
              CHECK(way.small + way.few_rows + way.narrow <= 1);
              CHECK((!way.few_rows || (way.first_rows && batch <= kFewRowsTried)));
              CHECK((!way.small || (!way.first_rows && batch <= kLanes)));
              CHECK((!way.narrow || !way.first_rows));
              CHECK((!way.first_rows || batch <= kRowsTried));
              CHECK((!way.first_rows || !shape.perturbs_inputs));
              CHECK((plan.split == Split::units || !shape.normalises_batch));
              CHECK((plan.split == Split::rows || plan.team > 1 || shape.normalises_batch));
              CHECK((plan.split == Split::rows || !way.narrow));
              CHECK((plan.split != Split::first_layer || sizes.size() > 2));
              CHECK((plan.vectors == Vectors::wide || (limits.half != HalfVectors::none && !way.small && !way.narrow)));
              CHECK(plan.chunk >= 0);
              CHECK(plan.chunk < batch);
              CHECK(plan.chunk % kLanes == 0);
              CHECK((plan.chunk == 0 || !shape.normalises_batch));
              CHECK((plan.chunk == 0 || !way.first_rows));  // dw of rows in place does not go on from stored sums
            }
            CHECK(alone);
            if (!plans.front().way.narrow) {
              Plan guess;
              guess.way = likely_way(shape, batch, Purpose::training, limits.tiles);
              guess.team = plans.front().team;
              guess.split = likely_split(shape, guess.way, batch, guess.team, false, limits.tiles);
              CHECK(plans.front() == guess);
            }
          }
        }
      }
    }
  }
}
