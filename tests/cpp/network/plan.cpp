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

TEST_CASE("plans, shapes and limits that differ anywhere are different and have an order") {
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
  std::vector<Limits> limits(13, avx2());
  limits[1].purpose = Purpose::inference;
  limits[2].threads = 3;
  limits[3].exactly = true;
  limits[4].share = 0.5;
  limits[5].narrow = false;
  limits[6].chunks = false;
  limits[7].tiles.width = 4;
  limits[8].tiles.mr = 4;
  limits[9].tiles.group = 2;
  limits[10].tiles.row_group = 2;
  limits[11].half = HalfVectors::as_fast;
  limits[12].l2 *= 2;
  const auto check = [](const auto& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (std::size_t j = 0; j < values.size(); ++j) {
        CHECK((values[i] == values[j]) == (i == j));
        CHECK((values[i] < values[j]) + (values[j] < values[i]) == (i == j ? 0 : 1));
      }
    }
  };
  check(plans);
  check(shapes);
  check(limits);
}

TEST_CASE("a network knows its shape") {
  Regularisation regularisation;
  regularisation.layers.resize(3);
  const std::vector<Activation> relu = {Activation::relu, Activation::relu, Activation::identity};
  const auto shape = [&] { return Network<float>({5, 7, 6, 3}, relu, Loss::mse, 0, regularisation).shape(); };
  Shape expected = shape_of({5, 7, 6, 3});
  CHECK(shape() == expected);
  CHECK(expected.depth() == 3);
  CHECK(expected.inputs() == 5);
  CHECK(expected.outputs() == 3);
  regularisation.layers[0].dropout = 0.5;
  expected.perturbs = true;
  CHECK(shape() == expected);
  regularisation.layers[0].dropout = 0;
  regularisation.input_noise = 0.5;
  expected.perturbs_inputs = true;
  CHECK(shape() == expected);
  regularisation.input_noise = 0;
  expected.perturbs = expected.perturbs_inputs = false;
  regularisation.layers[1].norm = Norm::layer;
  expected.normalises = true;
  expected.flops_per_row += 6 * kActivationFlops;
  CHECK(shape() == expected);
  regularisation.layers[1].norm = Norm::batch;
  expected.normalises_batch = true;
  CHECK(shape() == expected);
  const Network<double> wide({5, 7, 6, 3}, relu, Loss::mse);
  CHECK(wide.shape().bytes == 8);
}

TEST_CASE("limits of kernels") {
  Kernels<float> kernels{};
  kernels.width = 16;
  kernels.group = 2;
  Limits limits = limits_of(kernels, Purpose::training, 3);
  CHECK(limits.threads == 3);
  CHECK(limits.tiles.width == 16);
  CHECK(limits.half == HalfVectors::none);
  CHECK(limits.share == 1);
  kernels.for_few_lanes = &kernels;
  kernels.few_lanes = 8;
  limits = limits_of(kernels, Purpose::inference, 1);
  CHECK(limits.half == HalfVectors::slower);
  CHECK(limits.purpose == Purpose::inference);
  CHECK(limits.share == 0.5);
  kernels.few_lanes = 16;
  CHECK(limits_of(kernels, Purpose::inference, 1).half == HalfVectors::as_fast);
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
  const auto narrow = [](const Shape& shape, const Limits& limits, Index batch) {
    const std::vector<Plan> plans = candidates(shape, batch, Source::float32, limits);
    return std::any_of(plans.begin(), plans.end(), [](const Plan& plan) { return plan.way.narrow; });
  };
  Limits inference = avx2(), by_hand = avx2(), without = avx2();
  inference.purpose = Purpose::inference;
  by_hand.purpose = Purpose::by_hand;
  without.narrow = false;
  for (const Index batch : {1, 16, 17, 1000}) {
    CHECK(narrow(shape_of({64, 64, 64}), avx2(), batch));
    CHECK(narrow(shape_of({64, 64, 64}), inference, batch));
    CHECK_FALSE(narrow(shape_of({64, 64, 64}), by_hand, batch));
    CHECK_FALSE(narrow(shape_of({64, 64, 64}), without, batch));
    CHECK_FALSE(narrow(shape_of({65, 64, 64}), avx2(), batch));
    CHECK_FALSE(narrow(shape_of({64, 65, 64}), avx2(), batch));
    CHECK_FALSE(narrow(shape_of({64, 64, 65}), avx2(), batch));
    Shape perturbs = shape_of({64, 64, 64}), normalises = perturbs;
    perturbs.perturbs = true;
    normalises.normalises = true;
    CHECK_FALSE(narrow(perturbs, avx2(), batch));
    CHECK(narrow(perturbs, inference, batch));  // which perturbs nothing
    CHECK_FALSE(narrow(normalises, avx2(), batch));
    CHECK_FALSE(narrow(normalises, inference, batch));
  }
}

TEST_CASE("chunks: of narrow networks, and of batches whose activations leave the second cache") {
  CHECK(list({4, 32, 16, 4}, 100, avx2(1)).front().chunk == 0);
  CHECK(list({4, 32, 16, 4}, 400, avx2(1)).front().chunk == 200);  // two equal ones
  CHECK(list({4, 32, 16, 4}, 10000, avx2(1)).front().chunk == 250);
  CHECK(list({64, 64, 64, 64}, 512, avx2(1)).front().chunk == 86);
  CHECK(list({4, 32, 16, 4}, 10000, avx2(2)).front().chunk == 500);  // for two members
  const std::vector<Index> wide = {20, 200, 200, 10};
  CHECK_FALSE(has(list(wide, 128, avx2(1)), "panels, 1 thread, 128 rows at a time"));
  CHECK(list(wide, 128, avx2(1)).size() == 1);
  CHECK(has(list(wide, 2048, avx2(1)), "panels, 1 thread, 128 rows at a time"));
  Limits large = avx2(1);
  large.l2 = Index{1} << 20;
  CHECK(has(list(wide, 2048, large), "panels, 1 thread, 160 rows at a time"));
  large.chunks = false;
  CHECK(list(wide, 2048, large).size() == 1);
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
  CHECK(halves({4, 8, 2}, 100, HalfVectors::slower) == 1);
  CHECK(halves({4, 9, 2}, 100, HalfVectors::slower) == 0);
  CHECK(halves({2, 8, 2}, 4, HalfVectors::as_fast) == 0);  // small networks take them by themselves
}

TEST_CASE("rows that must be converted are not in place") {
  const Shape shape = shape_of({784, 128, 10});
  Limits limits = avx2(1);
  limits.chunks = false;
  const auto ways = [&](Index batch, Source source) { return candidates(shape, batch, source, limits).size(); };
  CHECK(ways(200, Source::float32) == 2);
  CHECK(ways(200, Source::uint8) == 1);
  CHECK(ways(128, Source::uint8) == 2);
  CHECK(ways(257, Source::float32) == 1);
}

TEST_CASE("inference goes by slices of rows, shared by rows") {
  Limits limits = avx2(2);
  limits.purpose = Purpose::inference;
  limits.share = 0.5;
  CHECK(in_words(list({784, 128, 10}, 10000, limits)) ==
        "panels, 2 threads by rows of the batch, 128 rows at a time; "
        "panels, 1 thread, 128 rows at a time; "
        "first layer by rows, 2 threads by rows of the batch, 128 rows at a time; "
        "first layer by rows, 1 thread, 128 rows at a time");
  CHECK(in_words(list({784, 128, 10}, 1, limits)) == "few rows, 1 thread");
  CHECK(in_words(list({784, 128, 10}, 64, limits)) ==
        "first layer by rows, 2 threads by rows of the batch, 32 rows at a time; "
        "first layer by rows, 1 thread; "
        "panels, 2 threads by rows of the batch, 32 rows at a time; "
        "panels, 1 thread");
  CHECK(describe(list({8, 64, 64, 4}, 100, limits).front()) == "narrow, 1 thread");
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
      for (const Purpose purpose : {Purpose::inference, Purpose::training, Purpose::by_hand}) {
        for (const int threads : {1, 2, 3, 16}) {
          for (Limits limits : {avx2(threads), avx512(threads, HalfVectors::slower), avx512(threads, HalfVectors::as_fast)}) {
            limits.purpose = purpose;
            for (const Index batch : {1, 2, 5, 6, 12, 13, 16, 17, 32, 64, 100, 129, 256, 257, 1000, 5000}) {
              const std::vector<Plan> plans = candidates(shape, batch, Source::float32, limits);
              CAPTURE(batch);
              CAPTURE(in_words(plans));
              REQUIRE(!plans.empty());
              CHECK(plans.size() <= kMostCandidates);
              const bool plain =
                  purpose != Purpose::by_hand && !shape.normalises && !(shape.perturbs && purpose == Purpose::training);
              const bool trains = purpose == Purpose::training;
              bool alone = false;
              for (std::size_t i = 0; i < plans.size(); ++i) {
                const Plan& plan = plans[i];
                const Way& way = plan.way;
                const Index rows = trains || plan.chunk == 0 ? batch : plan.chunk;
                alone |= plan.team == 1;
                for (std::size_t j = 0; j < i; ++j) CHECK(plan != plans[j]);
                CHECK(plan.team >= 1);
                CHECK(plan.team <= threads);
                CHECK((plain || !(way.few_rows || way.small || way.narrow)));
                CHECK(way.small + way.few_rows + way.narrow <= 1);
                CHECK((!way.few_rows || (way.first_rows && rows <= kFewRowsTried)));
                CHECK((!way.small || (!way.first_rows && rows <= kLanes)));
                CHECK((!way.narrow || !way.first_rows));
                CHECK((!way.first_rows || rows <= kRowsTried));
                CHECK((!way.first_rows || (purpose != Purpose::by_hand && !(trains && shape.perturbs_inputs))));
                CHECK((plan.split == Split::units || !shape.normalises_batch || purpose == Purpose::inference));
                CHECK((plan.split == Split::rows || (trains && plan.team > 1) || shape.normalises_batch));
                CHECK((plan.split == Split::rows || !way.narrow));
                CHECK((plan.split != Split::first_layer || sizes.size() > 2));
                CHECK((plan.vectors == Vectors::wide || limits.half != HalfVectors::none));
                CHECK(plan.chunk >= 0);
                CHECK(plan.chunk < batch);
                CHECK((plan.chunk == 0 || purpose != Purpose::by_hand));
                CHECK((plan.chunk == 0 || !trains || !shape.normalises_batch));
                CHECK((plan.chunk % kLanes == 0 || way.narrow));
              }
              CHECK(alone);
              if (purpose != Purpose::inference && !plans.front().way.narrow) {
                Plan guess;
                guess.way = likely_way(shape, batch, purpose, limits.tiles);
                guess.team = plans.front().team;
                if (trains) guess.split = likely_split(shape, guess.way, batch, guess.team, false, limits.tiles);
                if (!trains && shape.normalises_batch) guess.split = Split::units;
                CHECK(plans.front() == guess);
              }
            }
          }
        }
      }
    }
  }
}
