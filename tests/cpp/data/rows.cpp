// The user's rows: selections, strides and sources on their way into panels or pointers, and the search
// for values that are not finite. The kernels that do it are tested in kernels/.
#include "data/rows.h"

#include "base/arena.h"
#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// Rows of whole numbers below 256, which every source can hold, `gap` values apart; from the last
// to the first if `backwards`.
template <class S>
struct Data {
  Index rows, cols, step;
  bool backwards;
  std::vector<S> values;

  Data(Index rows_, Index cols_, Index gap, bool backwards_, S between)
      : rows(rows_),
        cols(cols_),
        step(cols_ + gap),
        backwards(backwards_),
        values(static_cast<std::size_t>(rows_ * step), between) {
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < cols; ++k) at(r, k) = static_cast<S>(expected(r, k));
    }
  }
  static Index expected(Index r, Index k) { return (r * 37 + k * 11) % 256; }
  S& at(Index r, Index k) { return values[static_cast<std::size_t>((backwards ? rows - 1 - r : r) * step + k)]; }
  Rows view() {
    const Index bytes = step * static_cast<Index>(sizeof(S));
    return {&at(0, 0), rows, cols, backwards ? -bytes : bytes, source_kind<S>};
  }
};

// The numbers of all sources must become the same T.
template <class T, class S>
void check_loading() {
  const Kernels<T>& kernels = active_kernels<T>();
  Dice dice(1);
  for (const Index cols : {1, 3, 8, 17}) {
    for (const Index gap : {0, 5}) {
      for (const bool backwards : {false, true}) {
        Data<S> data(45, cols, gap, backwards, S(7));
        const Rows x = data.view();
        std::vector<std::uint32_t> order(45);
        for (std::uint32_t& o : order) o = static_cast<std::uint32_t>(dice.below(45));
        for (const Selection selection : {Selection{nullptr, 0}, Selection{nullptr, 4}, Selection{order.data(), 3}}) {
          const Index batch = 39;
          Arena<T> arena(3 * (cols + 2) * kLanes);
          const Panels<T> out{arena.data(), cols + 2};
          gather_panels(kernels, x, selection, 0, 3, batch, out);
          std::vector<T> buffer(static_cast<std::size_t>(batch * cols));
          std::vector<const T*> pointers(static_cast<std::size_t>(batch), nullptr);
          point_at_rows(kernels, x, selection, 5, batch, buffer.data(), pointers.data());
          bool gathered = true, pointed = true;
          for (Index i = 0; i < batch; ++i) {
            for (Index k = 0; k < cols; ++k) {
              const T want = static_cast<T>(Data<S>::expected(selection[i], k));
              gathered = gathered && out.row(i / kLanes, k)[i % kLanes] == want;
              if (i >= 5) pointed = pointed && pointers[static_cast<std::size_t>(i)][k] == want;
            }
          }
          CHECK(gathered);
          CHECK(pointed);
          CHECK(pointers[4] == nullptr);
          CHECK(holds<T>(x) == std::is_same_v<T, S>);
          const auto* first = static_cast<const void*>(pointers[5]);
          CHECK((first == x.row(selection[5])) == std::is_same_v<T, S>);  // it is read in place, not copied
        }
      }
    }
  }
}

template <class T, class S>
void check_search(Index rows, Index cols, int n_threads) {
  const Kernels<T>& kernels = active_kernels<T>();
  CAPTURE(rows);
  CAPTURE(cols);
  for (const Index gap : {0, 3}) {
    for (const bool backwards : {false, true}) {
      Data<S> data(rows, cols, gap, backwards, static_cast<S>(nan<double>()));  // must not look between the rows
      const Rows x = data.view();
      CHECK(find_nonfinite(kernels, x, {n_threads}).row == -1);
      if constexpr (sizeof(S) > 1) {
        Dice dice(static_cast<std::uint64_t>(rows * cols));
        for (int turn = 0; turn < 40; ++turn) {
          const Index r = turn == 0   ? 0
                          : turn == 1 ? rows - 1
                                      : dice.below(rows),
                      k = turn == 0   ? 0
                          : turn == 1 ? cols - 1
                                      : dice.below(cols);
          const Index r2 = r + dice.below(rows - r),
                      k2 = r2 == r ? k + dice.below(cols - k) : dice.below(cols);  // a second one behind it
          const S good = data.at(r, k), good2 = data.at(r2, k2);
          data.at(r2, k2) = infinity<S>();
          data.at(r, k) = sizeof(S) > sizeof(T) && turn % 2 ? static_cast<S>(1e300) : nan<S>();
          const Place place = find_nonfinite(kernels, x, {n_threads});
          CHECK(place.row == r);
          CHECK(place.col == k);
          data.at(r2, k2) = good2;
          data.at(r, k) = good;
        }
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("gather_panels and point_at_rows: every source, stride, order", T, float, double) {
  check_loading<T, float>();
  check_loading<T, double>();
  check_loading<T, std::uint8_t>();
}

TEST_CASE_TEMPLATE("find_nonfinite: the first in row order, whatever the layout and the team", T, float, double) {
  for (const int n_threads : {1, 0}) {
    for (const Index cols : {1, 7, 64}) {
      check_search<T, float>(1, cols, n_threads);
      check_search<T, float>(50, cols, n_threads);
      check_search<T, double>(50, cols, n_threads);
      check_search<T, std::uint8_t>(50, cols, n_threads);
    }
    check_search<T, float>(20000, 33, n_threads);  // several slices, and a team where there is one
    check_search<T, double>(7, 20000, n_threads);
  }
}

TEST_CASE_TEMPLATE("all_within: the closed range, rows side by side or apart, NaN", T, float, double) {
  std::vector<T> x(60, T(0.5));
  const Rows dense{x.data(), 10, 6, 6 * sizeof(T), source_of<T>}, apart{x.data(), 10, 5, 6 * sizeof(T), source_of<T>};
  const auto all = [&](const Rows& rows) { return all_within(rows, 0, 1); };
  x[13] = 0;
  x[59] = 1;
  CHECK(all(dense));
  for (const T wrong : {T(-0.01), T(1.01), nan<T>(), infinity<T>()}) {
    x[59] = wrong;
    CHECK_FALSE(all(dense));
    CHECK(all(apart));  // whose rows end before it
    x[59] = 1;
    x[24] = wrong;
    CHECK_FALSE(all(apart));
    x[24] = 1;
  }
  CHECK(all_within(Rows{nullptr, 0, 3, 3 * sizeof(T), source_of<T>}, 0, 1));
  const std::uint8_t bytes[3] = {0, 1, 255};
  CHECK(all_within({bytes, 1, 3, 3, Source::uint8}, 0, 255));
  CHECK_FALSE(all_within({bytes, 1, 3, 3, Source::uint8}, 0, 254));
}

TEST_CASE_TEMPLATE("find_nonfinite: nothing to look at, and the same row again and again", T, float, double) {
  const Kernels<T>& kernels = active_kernels<T>();
  T row[3] = {1, nan<T>(), 2};
  const Source source = source_kind<T>;
  CHECK(find_nonfinite(kernels, {row, 0, 3, 12, source}, {}).row == -1);
  CHECK(find_nonfinite(kernels, {row, 5, 0, 12, source}, {}).row == -1);
  const Place place = find_nonfinite(kernels, {row, 1000000, 3, 0, source}, {});  // stride 0
  CHECK(place.row == 0);
  CHECK(place.col == 1);
}
