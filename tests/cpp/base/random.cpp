// The random numbers by counter: Philox against its authors' vectors, and uniform and normal
// numbers and permutations against what they promise. Statistics are for fixed seeds, so they
// come out the same in every run.
#include "base/random.h"

#include <functional>
#include <set>

#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// Philox with its counter and key as the paper names them.
Philox philox_of(const std::uint32_t (&c)[4], const std::uint32_t (&k)[2]) {
  return philox(std::uint64_t{k[1]} << 32 | k[0], static_cast<Stream>(c[3]), c[2], std::uint64_t{c[1]} << 32 | c[0]);
}

// The statistic of counts that should be equal: about `counts.size() - 1`, with a standard
// deviation of sqrt(2 (size - 1)).
double chi_square(const std::vector<Index>& counts) {
  double total = 0, sum = 0;
  for (const Index c : counts) total += static_cast<double>(c);
  const double expected = total / static_cast<double>(counts.size());
  for (const Index c : counts) sum += (static_cast<double>(c) - expected) * (static_cast<double>(c) - expected) / expected;
  return sum;
}

void expect_even(const std::vector<Index>& counts) {
  const double freedom = static_cast<double>(counts.size() - 1), deviation = std::sqrt(2 * freedom);
  CHECK(chi_square(counts) < freedom + 5 * deviation);
  CHECK(chi_square(counts) > freedom - 5 * deviation);  // too even is not random either
}

std::vector<std::uint32_t> shuffled(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n) {
  std::vector<std::uint32_t> order(n + 1, 0xabcdefu);
  permutation(seed, epoch, n, order.data());
  CHECK(order.back() == 0xabcdefu);
  order.pop_back();
  return order;
}

// FNV-1a over the bytes of values.
template <class V>
std::uint64_t fingerprint(const std::vector<V>& values) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const V& value : values) {
    unsigned char bytes[sizeof(V)];
    std::memcpy(bytes, &value, sizeof(V));
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  }
  return hash;
}

bool is_permutation_of_range(std::vector<std::uint32_t> order) {
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] != i) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("philox: known answers of Random123") {
  struct Answer {
    std::uint32_t counter[4], key[2], words[4];
  };
  constexpr std::uint32_t ones = 0xffffffffu;
  const Answer answers[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
      {{ones, ones, ones, ones}, {ones, ones}, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
      {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
       {0xa4093822u, 0x299f31d0u},
       {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
  };
  for (const Answer& answer : answers) {
    const Philox p = philox_of(answer.counter, answer.key);
    for (int i = 0; i < 4; ++i) CHECK(p.word[i] == answer.words[i]);
  }
}

TEST_CASE("stream_of: purpose, layer and step each have bits of their own") {
  CHECK(stream_of(Stream::dropout, 0, 0) == Stream::dropout);
  CHECK(static_cast<std::uint32_t>(stream_of(Stream::noise, 5, 0xffffffffu)) == (4u | 5u << 4));
  CHECK(static_cast<std::uint32_t>(stream_of(Stream::dropout, 0xffff, 0xfffull << 32)) == (3u | 0xffff0u | 0xfff00000u));
}

TEST_CASE("numbers are functions of seed, stream, index and element") {
  const auto all_differ = [](const std::function<double(std::uint64_t, Stream, std::uint32_t, std::uint64_t)>& number) {
    std::set<double> seen;
    std::size_t drawn = 0;
    for (const std::uint64_t seed : {0ull, 1ull, 1ull << 32, ~0ull}) {
      for (const Stream stream : {Stream::weights, Stream::shuffle}) {
        for (const std::uint32_t index : {0u, 1u, ~0u}) {
          for (const std::uint64_t element : {0ull, 1ull, 2ull, 1ull << 32, 1ull << 57}) {
            const double x = number(seed, stream, index, element);
            CHECK(x == number(seed, stream, index, element));
            seen.insert(x);
            ++drawn;
          }
        }
      }
    }
    CHECK(seen.size() == drawn);
  };
  all_differ(uniform);
  all_differ(normal);
}

TEST_CASE("uniform: in the open interval, and even") {
  constexpr int n = 200000, bins = 64;
  std::vector<Index> high(bins), low(bins);
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = uniform(7, Stream::weights, 3, static_cast<std::uint64_t>(i));
    REQUIRE(u > 0);
    REQUIRE(u < 1);
    ++high[static_cast<std::size_t>(u * bins)];
    ++low[static_cast<std::size_t>(std::fmod(u * 0x1p40, bins))];
    sum += u;
    squares += (u - 0.5) * (u - 0.5);
  }
  expect_even(high);
  expect_even(low);
  CHECK(std::fabs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
  CHECK(std::fabs(squares / n - 1.0 / 12) < 5 * std::sqrt(1.0 / 180 / n));
}

TEST_CASE("normal: moments and distribution") {
  constexpr int n = 200000, bins = 64;
  std::vector<Index> counts(bins);
  double moments[5] = {};
  for (int i = 0; i < n; ++i) {
    const double x = normal(11, Stream::weights, 5, static_cast<std::uint64_t>(i));
    REQUIRE(std::isfinite(x));
    double power = 1;
    for (double& m : moments) {
      m += power / n;
      power *= x;
    }
    const double below = 0.5 * std::erfc(-x / std::sqrt(2.0));  // uniform, if x is normal
    ++counts[std::min<std::size_t>(bins - 1, static_cast<std::size_t>(below * bins))];
  }
  expect_even(counts);
  CHECK(std::fabs(moments[1]) < 5 * std::sqrt(1.0 / n));
  CHECK(std::fabs(moments[2] - 1) < 5 * std::sqrt(2.0 / n));
  CHECK(std::fabs(moments[3]) < 5 * std::sqrt(15.0 / n));
  CHECK(std::fabs(moments[4] - 3) < 5 * std::sqrt(96.0 / n));
}

TEST_CASE("permutation: each number once, for every length") {
  for (std::uint32_t n = 0; n <= 130; ++n) {
    CAPTURE(n);
    CHECK(is_permutation_of_range(shuffled(n, 0, n)));
  }
  for (const std::uint32_t n : {1000u, 65537u, (1u << 20) - 1, 1u << 20, (1u << 20) + 1, (1u << 20) + 2}) {
    CAPTURE(n);
    CHECK(is_permutation_of_range(shuffled(1, 2, n)));
  }
}

TEST_CASE("permutation: one for each seed and epoch, the same each time") {
  const std::vector<std::uint32_t> order = shuffled(3, 4, 100);
  CHECK(order == shuffled(3, 4, 100));
  CHECK(order != shuffled(3, 5, 100));
  CHECK(order != shuffled(4, 4, 100));
  CHECK(order != shuffled(3 + (1ull << 32), 4, 100));
}

TEST_CASE("permutation: asks now and then whether to stop, and does") {
  constexpr std::uint32_t n = 100000;
  std::vector<std::uint32_t> order(n);
  int asked = 0;
  const auto stop_at_third = [](void* context) { return ++*static_cast<int*>(context) == 3; };
  CHECK_FALSE(permutation(1, 2, n, order.data(), stop_at_third, &asked));
  CHECK(asked == 3);
  const auto never = [](void*) { return false; };
  CHECK(permutation(1, 2, n, order.data(), never));
  CHECK(order == shuffled(1, 2, n));
}

TEST_CASE("permutation: every order is equally likely") {
  for (const std::uint32_t n : {2u, 3u, 4u, 5u}) {
    CAPTURE(n);
    std::vector<std::uint32_t> sorted(n);
    for (std::uint32_t i = 0; i < n; ++i) sorted[i] = i;
    std::vector<std::vector<std::uint32_t>> orders;
    do {
      orders.push_back(sorted);
    } while (std::next_permutation(sorted.begin(), sorted.end()));
    std::vector<Index> counts(orders.size());
    for (std::uint32_t epoch = 0; epoch < 400 * orders.size(); ++epoch) {
      std::vector<std::uint32_t> order(n);
      permutation(17, epoch, n, order.data());
      ++counts[static_cast<std::size_t>(std::lower_bound(orders.begin(), orders.end(), order) - orders.begin())];
    }
    if (n == 2) {  // one degree of freedom: a very even result is no surprise
      CHECK(chi_square(counts) < 16);
    } else {
      expect_even(counts);
    }
  }
}

TEST_CASE("permutation: every number is equally likely at every place") {
  constexpr std::uint32_t n = 37;
  std::vector<Index> counts(n * n);
  std::vector<std::uint32_t> order(n);
  for (std::uint32_t epoch = 0; epoch < 20000; ++epoch) {
    permutation(23, epoch, n, order.data());
    for (std::uint32_t i = 0; i < n; ++i) ++counts[i * n + order[i]];
  }
  CHECK(chi_square(counts) < 36.0 * 36 + 5 * std::sqrt(2 * 36.0 * 36));  // (n - 1)^2 degrees of freedom
  CHECK(chi_square(counts) > 36.0 * 36 - 5 * std::sqrt(2 * 36.0 * 36));
}

// Where a block gives fewer dice, numbers still go far, and half of neighbouring pairs are swapped.
TEST_CASE("permutation: long ones are mixed too") {
  for (const std::uint32_t n : {1u << 20, (1u << 20) + 1}) {
    const std::vector<std::uint32_t> order = shuffled(29, 0, n);
    double distance = 0, rising = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      distance += std::fabs(static_cast<double>(order[i]) - static_cast<double>(i)) / n / n;
      if (i > 0 && order[i] > order[i - 1]) rising += 1.0 / n;
    }
    CHECK(std::fabs(distance - 1.0 / 3) < 0.002);
    CHECK(std::fabs(rising - 0.5) < 0.002);
  }
}

// The same seed gives the same run on every machine and in every version. Changing these numbers
// changes every seeded run there is.
TEST_CASE("seeded numbers stay what they are, to the last bit") {
  std::vector<double> uniforms, normals;
  for (std::uint64_t i = 0; i < 10000; ++i) {
    uniforms.push_back(uniform(42, Stream::weights, 1, i));
    normals.push_back(normal(42, Stream::weights, 1, i));
  }
  CHECK(fingerprint(uniforms) == 0x6937c9b69c5fb5a0u);
  CHECK(fingerprint(normals) == 0x71f35938d24d439du);
  CHECK(shuffled(42, 1, 8) == std::vector<std::uint32_t>{4, 0, 3, 2, 6, 5, 1, 7});
  CHECK(fingerprint(shuffled(42, 1, 10000)) == 0x331a891a7c4aa661u);
  CHECK(fingerprint(shuffled(42, 1, 1u << 20)) == 0x6f9c5e98ee9b4fd1u);
  CHECK(fingerprint(shuffled(42, 1, (1u << 20) + 1)) == 0x9f5ac9284808f715u);
}
