// The functions of base/elementary.h and kernels/activations.h, lane by lane: their errors against libm
// in wider arithmetic, the bounds that these headers state, special values, and that kernels give the
// very same numbers. RETROGRAD_TEST_ULP=1 prints what was measured.
#include <iostream>

#include "kernels/activations.h"
#include "support/helpers.h"
#include "support/oracle/operations.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// A type wider than T. For float, double is exact to 1e-9 ulp and much faster than long double.
template <class T>
using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;

template <class T>
Wide<T> ulp_of(Wide<T> exact) {
  using Limits = std::numeric_limits<T>;
  const int exponent = exact == 0 ? Limits::min_exponent - 1 : std::max(std::ilogb(exact), Limits::min_exponent - 1);
  return std::ldexp(Wide<T>(1), exponent - (Limits::digits - 1));
}

// One function: the one of the core, the one of libm in wider arithmetic, where it is
// tried and what error is allowed.
template <class O>
struct Function {
  using T = typename O::T;
  std::string name;
  T (*ours)(T);
  Wide<T> (*exact)(Wide<T>);
  T low, high;
  double fused_bound, unfused_bound;
  T smallest;  // results below it are judged by the spacing of numbers at it
  bool rises = true;
};

template <class W>
W exact_tail(W x) {
  return std::erfc(x / std::sqrt(W(2))) / 2;
}
template <class W>
W exact_gelu_tanh(W x) {
  return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(W(-1))) * (x + W(0.044715L) * x * x * x)));
}

template <class O>
std::vector<Function<O>> functions() {
  using T = typename O::T;
  using W = Wide<T>;
  using Limits = std::numeric_limits<T>;
  constexpr bool single = sizeof(T) == 4;
  const T tiny = Limits::min();
  return {
      {"exp", math::exp<O>, [](W x) -> W { return std::exp(x); }, single ? T(-87.3) : T(-708.3), single ? T(88.72) : T(709.78),
       single ? 1.1 : 1.2, 1.2, tiny},
      {"exp, subnormal", math::exp<O>, [](W x) -> W { return std::exp(x); }, single ? T(-110) : T(-760),
       single ? T(-87.3) : T(-708.3), 1.5, 1.5, tiny},
      {"tanh", math::tanh<O>, [](W x) -> W { return std::tanh(x); }, T(-25), T(25), 2.5, 2.6, tiny},
      {"sigmoid", math::sigmoid<O>, [](W x) -> W { return 1 / (1 + std::exp(-x)); }, single ? T(-87.3) : T(-708.3),
       single ? T(100) : T(800), 2.5, 2.5, tiny},
      {"sigmoid, subnormal", math::sigmoid<O>, [](W x) -> W { return 1 / (1 + std::exp(-x)); }, single ? T(-110) : T(-760),
       single ? T(-87.3) : T(-708.3), 1.5, 1.5, tiny},
      {"log", math::log<O>, [](W x) -> W { return std::log(x); }, tiny, Limits::max(), 1.0, 1.0, tiny},
      {"log1p", math::log1p<O>, [](W x) -> W { return std::log1p(x); }, T(0), T(1), 2.0, 2.0, tiny},
      {"expm1", math::expm1<O>, [](W x) -> W { return std::expm1(x); }, T(-100), T(0), 1.5, 1.6, tiny},
      // The exact values are themselves off by half an ulp of double at the far end.
      {"bell", math::bell<O>, [](W x) -> W { return std::exp(-x * x / 2); }, T(0), single ? T(13) : T(37.5), 2.0,
       single ? 80 : 700, tiny, false},
      {"tail_ratio", math::tail_ratio<O>, [](W x) -> W { return exact_tail(x) * std::exp(x * x / 2); }, T(0),
       single ? T(14) : T(37.5), single ? 7 : 11, single ? 8 : 12, tiny, false},
      {"gelu", activations::gelu<O>, [](W x) -> W { return x * exact_tail(-x); }, single ? T(-14.4) : T(-38.5), T(30),
       single ? 8 : 11, single ? 80 : 700, tiny, false},
      {"gelu_tanh, z >= 0", activations::gelu_tanh<O>, exact_gelu_tanh<W>, T(0), T(30), 3, 3, tiny},
      {"gelu_tanh, z < 0", activations::gelu_tanh<O>, exact_gelu_tanh<W>, single ? T(-10) : T(-22), T(0), single ? 240 : 1900,
       single ? 260 : 2100, tiny, false},
      {"silu", activations::silu<O>, [](W x) -> W { return x / (1 + std::exp(-x)); }, single ? T(-87) : T(-708), T(100), 3.5,
       3.5, tiny, false},
      {"mish", activations::mish<O>, [](W x) -> W { return x * std::tanh(std::log1p(std::exp(x))); }, single ? T(-87) : T(-708),
       T(100), 5, 5, tiny, false},
      {"softplus", activations::softplus<O>, [](W x) -> W { return std::log1p(std::exp(x)); }, single ? T(-110) : T(-760),
       T(100), 2.5, 2.5, tiny},
      {"softsign", activations::softsign<O>, [](W x) -> W { return x / (1 + std::fabs(x)); }, -Limits::max(), Limits::max(), 2,
       2, tiny},
  };
}

// All floats in order of size: neighbours are one apart.
template <class T>
std::int64_t rank_of(T x) {
  using Signed = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  Signed bits;
  std::memcpy(&bits, &x, sizeof x);
  return bits >= 0 ? std::int64_t{bits} : -static_cast<std::int64_t>(bits & std::numeric_limits<Signed>::max());
}
template <class T>
T of_rank(std::int64_t rank) {
  using Signed = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  const Signed bits = static_cast<Signed>(rank < 0 ? -rank : rank);
  T x;
  std::memcpy(&x, &bits, sizeof x);
  return rank < 0 ? -x : x;
}

// Calls f(x) for numbers of [low, high]: evenly among all that there are (every
// magnitude), and evenly along the line.
template <class T, class F>
void sweep(T low, T high, F f) {
  const std::int64_t first = rank_of(low), last = rank_of(high);
  const std::int64_t count = sizeof(T) == 4 ? (few_sizes() ? 100000 : 2500000) : (few_sizes() ? 50000 : 600000);
  Dice dice(1);
  const auto width = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first);
  const auto stride = width / static_cast<std::uint64_t>(count) + 1;
  for (std::uint64_t offset = 0; offset <= width; offset += 1 + dice.word() % (2 * stride - 1)) {
    f(of_rank<T>(static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + offset)));
    if (width - offset < 2 * stride) break;
  }
  for (std::int64_t i = 0; i < count && std::isfinite(high - low); ++i) {
    const T x = low + (high - low) * (dice.number<T>() + T(1)) / T(2);
    if (x >= low && x <= high) f(x);
  }
  for (std::int64_t i = 0; i < 1000; ++i) {
    if (first + i <= last) f(of_rank<T>(first + i));
    if (last - i >= first) f(of_rank<T>(last - i));
  }
}

template <class O>
void check_errors(const std::string& operations, bool fused) {
  using T = typename O::T;
  for (const Function<O>& function : functions<O>()) {
    CAPTURE(function.name);
    CAPTURE(operations);
    double worst = 0;
    T worst_at = 0;
    sweep<T>(function.low, function.high, [&](T x) {
      const Wide<T> exact = function.exact(x),
                    ulp = ulp_of<T>(std::max(std::fabs(exact), static_cast<Wide<T>>(function.smallest)));
      const double error = static_cast<double>(std::fabs(function.ours(x) - exact) / ulp);
      if (!(error <= worst)) {
        worst = error;
        worst_at = x;
      }
    });
    if (std::getenv("RETROGRAD_TEST_ULP")) {
      std::cout << function.name << (sizeof(T) == 4 ? " float " : " double ") << operations << ": " << worst << " ulp at "
                << worst_at << "\n";
    }
    CAPTURE(worst_at);
    CHECK(worst < (fused ? function.fused_bound : function.unfused_bound));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("errors are below what math.h states", T, float, double) {
  check_errors<Scalar<T>>("fused", true);
  check_errors<Unfused<T>>("unfused", false);
}

TEST_CASE_TEMPLATE("special values", O, Scalar<float>, Scalar<double>, Unfused<float>, Unfused<double>) {
  using T = typename O::T;
  using Limits = std::numeric_limits<T>;
  const T inf = infinity<T>(), zero = T(0), tiny = Limits::denorm_min();

  CHECK(std::isnan(math::exp<O>(nan<T>())));
  CHECK(std::isnan(math::exp<O>(-nan<T>())));
  CHECK(math::exp<O>(inf) == inf);
  CHECK(math::exp<O>(Limits::max()) == inf);
  CHECK(math::exp<O>(-inf) == zero);
  CHECK(math::exp<O>(-Limits::max()) == zero);
  CHECK(math::exp<O>(zero) == T(1));
  CHECK(math::exp<O>(-zero) == T(1));
  CHECK(math::exp<O>(tiny) == T(1));
  CHECK(math::exp<O>(sizeof(T) == 4 ? T(88.73) : T(709.79)) == inf);
  CHECK(math::exp<O>(sizeof(T) == 4 ? T(88.72) : T(709.78)) < inf);
  CHECK(math::exp<O>(sizeof(T) == 4 ? T(-103) : T(-744.5)) == tiny);
  CHECK(math::exp<O>(sizeof(T) == 4 ? T(-104) : T(-746)) == zero);

  CHECK(std::isnan(math::log<O>(nan<T>())));
  CHECK(std::isnan(math::log<O>(inf)));
  CHECK(same(math::log<O>(T(1)), zero));
  CHECK(math::log<O>(T(2)) == static_cast<T>(0.69314718055994530942));

  CHECK(std::isnan(math::log1p<O>(nan<T>())));
  CHECK(same(math::log1p<O>(zero), zero));
  CHECK(math::log1p<O>(tiny) == tiny);
  CHECK(math::log1p<O>(Limits::min()) == Limits::min());
  CHECK(math::log1p<O>(T(1)) == static_cast<T>(0.69314718055994530942));

  CHECK(std::isnan(math::tanh<O>(nan<T>())));
  CHECK(std::isnan(math::tanh<O>(-nan<T>())));
  CHECK(math::tanh<O>(inf) == T(1));
  CHECK(math::tanh<O>(-inf) == T(-1));
  CHECK(math::tanh<O>(Limits::max()) == T(1));
  CHECK(same(math::tanh<O>(zero), zero));
  CHECK(same(math::tanh<O>(-zero), -zero));
  CHECK(math::tanh<O>(tiny) == tiny);
  CHECK(math::tanh<O>(-tiny) == -tiny);
  CHECK(math::tanh<O>(Limits::min()) == Limits::min());

  CHECK(std::isnan(math::sigmoid<O>(nan<T>())));
  CHECK(math::sigmoid<O>(inf) == T(1));
  CHECK(math::sigmoid<O>(-inf) == zero);
  CHECK(math::sigmoid<O>(-Limits::max()) == zero);
  CHECK(same(math::sigmoid<O>(-inf), zero));
  CHECK(math::sigmoid<O>(sizeof(T) == 4 ? T(-104) : T(-746)) == zero);
  CHECK(math::sigmoid<O>(sizeof(T) == 4 ? T(-103) : T(-744.5)) == tiny);
  CHECK(math::sigmoid<O>(Limits::max()) == T(1));
  CHECK(math::sigmoid<O>(zero) == T(0.5));
  CHECK(math::sigmoid<O>(-zero) == T(0.5));
  CHECK(math::sigmoid<O>(tiny) == T(0.5));
}

TEST_CASE_TEMPLATE("tanh is odd, tanh and sigmoid stay in their range and never lead a NaN astray", O, Scalar<float>,
                   Scalar<double>, Unfused<float>, Unfused<double>) {
  using T = typename O::T;
  bool odd = true, bounded = true;
  sweep<T>(T(0), std::numeric_limits<T>::max(), [&](T x) {
    const T t = math::tanh<O>(x), s = math::sigmoid<O>(x), under = math::sigmoid<O>(-x);
    odd = odd && same(math::tanh<O>(-x), -t);
    bounded = bounded && t >= 0 && t <= 1 && s >= T(0.5) && s <= 1 && under >= 0 && under <= T(0.5);
  });
  CHECK(odd);
  CHECK(bounded);
}

// A derivative near its zero has no relative precision: errors in units of epsilon (1 ulp of a number in [1, 2)).
TEST_CASE_TEMPLATE("derivatives from z", O, Scalar<float>, Scalar<double>, Unfused<float>, Unfused<double>) {
  using T = typename O::T;
  using W = Wide<T>;
  struct Slope {
    std::string name;
    T (*ours)(T);
    W (*exact)(W);
    double bound;
  };
  const Slope slopes[] = {
      {"gelu", activations::gelu_slope<O>,
       [](W z) -> W { return exact_tail(-z) + z * std::exp(-z * z / 2) / std::sqrt(2 * std::acos(W(-1))); }, 4},
      {"gelu_tanh", activations::gelu_tanh_slope<O>,
       [](W z) -> W {
         const W c = std::sqrt(2 / std::acos(W(-1))), t = std::tanh(c * (z + W(0.044715L) * z * z * z));
         return (1 + t) / 2 + z * (1 - t * t) * c * (1 + 3 * W(0.044715L) * z * z) / 2;
       },
       3},
      {"silu", activations::silu_slope<O>,
       [](W z) -> W {
         const W s = 1 / (1 + std::exp(-z));
         return s + z * s / (1 + std::exp(z));
       },
       2},
      {"mish", activations::mish_slope<O>,
       [](W z) -> W {
         const W w = std::tanh(std::log1p(std::exp(z)));
         return w + z * (1 - w * w) / (1 + std::exp(-z));
       },
       3}};
  for (const Slope& slope : slopes) {
    CAPTURE(slope.name);
    double worst = 0;
    sweep<T>(T(-40), T(40), [&](T z) {
      const double error = std::fabs(static_cast<double>((slope.ours(z) - slope.exact(z)) / std::numeric_limits<T>::epsilon()));
      if (!(error <= worst)) worst = error;
    });
    if (std::getenv("RETROGRAD_TEST_ULP")) std::cout << slope.name << " slope " << sizeof(T) << ": " << worst << " epsilon\n";
    CHECK(worst < slope.bound);
  }
}

// Rounding may make a polynomial fall back a little between neighbours, but never by more than its error.
TEST_CASE_TEMPLATE("monotone but for rounding", O, Scalar<float>, Scalar<double>, Unfused<float>, Unfused<double>) {
  using T = typename O::T;
  for (const Function<O>& function : functions<O>()) {
    if (!function.rises) continue;
    CAPTURE(function.name);
    bool rising = true;
    T before = function.ours(function.low), largest = before;
    const std::int64_t first = rank_of(function.low), last = rank_of(function.high);
    const auto width = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first);
    const std::uint64_t steps = few_sizes() ? 20000 : 1000000;
    for (std::uint64_t i = 1; i <= steps; ++i) {
      const T y = function.ours(of_rank<T>(static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + width / steps * i)));
      const double slack = 2 * std::max(function.fused_bound, function.unfused_bound);
      rising = rising && y >= largest - static_cast<T>(slack * static_cast<double>(ulp_of<T>(largest)));
      largest = std::max(largest, y);
    }
    CHECK(rising);
    CHECK(largest <= std::max(function.ours(function.high) * T(1.000001), std::numeric_limits<T>::min()));
  }
}

TEST_CASE_TEMPLATE("normal_pair: Box and Muller's formula with the library's functions", T, float, double) {
  // float has room for 23 bits of the radius's number and of a quarter of the circle
  constexpr int bits = sizeof(T) == 4 ? 23 : 32, lost = sizeof(T) == 4 ? 7 : 0;
  Dice dice(3);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    auto a = static_cast<std::uint32_t>(dice.word()), b = static_cast<std::uint32_t>(dice.word());
    if (i < 64) a = i % 2 ? ~0u : 0u, b = static_cast<std::uint32_t>(i / 2) << 27;
    T x, y;
    math::normal_pair<Scalar<T>>(a, b, x, y);
    const long double u = (static_cast<long double>(a >> (32 - bits)) + 0.5L) * std::ldexp(1.0L, -bits);
    const long double angle = (static_cast<long double>(b >> lost << lost) * 0x1p-30L - 0.5L) * 1.57079632679489661923L;
    const long double radius = std::sqrt(-2 * std::log(u));
    worst = std::max({worst, std::fabs(static_cast<double>(x - radius * std::cos(angle))),
                      std::fabs(static_cast<double>(y - radius * std::sin(angle)))});
  }
  MESSAGE("largest error of a normal number: " << worst);
  CHECK(worst < (sizeof(T) == 4 ? 1.5e-6 : 3e-15));
}

// The vectors of every table give what one lane of Scalar gives, wherever in the vector it stands.
TEST_CASE_TEMPLATE("kernels give exactly these numbers", T, float, double) {
  constexpr Index units = 64;
  const auto check = [&](const KernelTable& table, Activation f, T (*function)(T)) {
    CAPTURE(std::string(table.isa));
    CAPTURE(text(f));
    Values<T> given, got;
    bool equal = true;
    const auto flush = [&] {
      got = given;
      got.resize(static_cast<std::size_t>(units * kLanes));
      kernels_of<T>(table).activate(units, static_cast<int>(kLanes), got.data(), f);
      for (std::size_t i = 0; i < given.size(); ++i) equal = equal && same(got[i], function(given[i]));
      given.clear();
    };
    sweep<T>(-std::numeric_limits<T>::max(), std::numeric_limits<T>::max(), [&](T x) {
      given.push_back(x);
      if (static_cast<Index>(given.size()) == units * kLanes) flush();
    });
    sweep<T>(T(-30), T(30), [&](T x) {
      given.push_back(x);
      if (static_cast<Index>(given.size()) == units * kLanes) flush();
    });
    flush();
    CHECK(equal);
  };
  for (const KernelTable* table : available_tables()) {
    check(*table, Activation::tanh, table->fused ? math::tanh<Scalar<T>> : math::tanh<Unfused<T>>);
    check(*table, Activation::sigmoid, table->fused ? math::sigmoid<Scalar<T>> : math::sigmoid<Unfused<T>>);
    check(*table, Activation::gelu, table->fused ? activations::gelu<Scalar<T>> : activations::gelu<Unfused<T>>);
    check(*table, Activation::gelu_tanh, table->fused ? activations::gelu_tanh<Scalar<T>> : activations::gelu_tanh<Unfused<T>>);
    check(*table, Activation::silu, table->fused ? activations::silu<Scalar<T>> : activations::silu<Unfused<T>>);
    check(*table, Activation::mish, table->fused ? activations::mish<Scalar<T>> : activations::mish<Unfused<T>>);
    check(*table, Activation::softplus, table->fused ? activations::softplus<Scalar<T>> : activations::softplus<Unfused<T>>);
    check(*table, Activation::softsign, table->fused ? activations::softsign<Scalar<T>> : activations::softsign<Unfused<T>>);
  }
}
