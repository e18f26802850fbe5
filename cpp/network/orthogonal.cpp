// See orthogonal.h.
#include "network/orthogonal.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/arena.h"
#include "base/random.h"
#include "machine/team.h"

namespace retrograd {
namespace {

// I - factor v vT, where v is zero above row `first`; `v` points at what would be its row 0.
struct Reflection {
  const double* v;
  Index first;
  double factor;
};

// Reflects the 16 columns of a panel.
void reflect(const Reflection& h, Index rows, double* panel) {
  double sums[kLanes] = {};
  for (Index i = h.first; i < rows; ++i) {
    const double v = h.v[i], *x = panel + i * kLanes;
    for (Index j = 0; j < kLanes; ++j) sums[j] += v * x[j];
  }
  for (double& sum : sums) sum *= h.factor;
  for (Index i = h.first; i < rows; ++i) {
    const double v = h.v[i];
    double* x = panel + i * kLanes;
    for (Index j = 0; j < kLanes; ++j) x[j] -= v * sums[j];
  }
}

// Finds the reflection that turns column k into a multiple of the k-th unit vector; writes its v, and the sign of that
// multiple.
Reflection reflection_of(Index k, Index rows, const double* panel, double* v, double& sign) {
  const double* column = panel + k % kLanes;
  double squares = 0;
  for (Index i = k; i < rows; ++i) {
    v[i] = column[i * kLanes];
    squares += v[i] * v[i];
  }
  const double norm = std::sqrt(squares), head = v[k];
  sign = head > 0 ? -1 : 1;
  v[k] = head - sign * norm;  // no digits are lost: the two have the same sign
  const double half = norm * (norm + std::fabs(head));
  return {v, k, half > 0 ? 1 / half : 0};
}

}  // namespace

bool orthonormal_columns(Index rows, Index cols, std::uint64_t seed, std::uint32_t stream, Panels<double> q, Poll poll,
                         Threads threads) {
  Arena<double> vectors(checked_multiply(cols, rows));
  std::vector<Reflection> all;
  for (Index k = 0; k < cols; ++k) all.push_back({vectors.data() + k * rows, k, 0});  // zeros, which change nothing
  std::vector<double> signs(static_cast<std::size_t>(cols));
  const Index count = panels(cols);
  const auto first_of = [](Index p) { return static_cast<std::size_t>(p * kLanes); };
  const auto last_of = [&](Index p) { return static_cast<std::size_t>(std::min(cols, (p + 1) * kLanes)); };
  const double height = static_cast<double>(rows), per_panel = 4.0 * kLanes * kLanes * height;
  Interrupt interrupt(poll);
  Team team(team_size(per_panel * static_cast<double>(count) * static_cast<double>(count), count, threads));
  // Each panel is a piece of its own; those before `begin` are left out.
  const auto each_panel = [&](Index begin, auto body) {
    team.each(count - begin, [&](const Share& share, int number) {
      InterruptWatch watch(interrupt, number);
      if (!interrupt.stopped()) body(begin + share.id, watch);
    });
  };
  each_panel(0, [&](Index p, InterruptWatch& watch) {
    for (Index i = 0; i < rows; ++i) {
      for (std::size_t k = first_of(p); k < last_of(p); ++k) {
        const auto j = static_cast<Index>(k);
        q.row(p, i)[j % kLanes] = normal(seed, Stream::weights, stream, static_cast<std::uint64_t>(i * cols + j));
      }
      if (watch.spent(200.0 * kLanes)) return;
    }
  });
  // From panel to panel: the caller finds its reflections, and all apply them to the panels behind it.
  for (Index p = 0; p < count && !interrupt.stopped(); ++p) {
    for (std::size_t k = first_of(p); k < last_of(p); ++k) {
      all[k] = reflection_of(static_cast<Index>(k), rows, q.panel(p), vectors.data() + static_cast<Index>(k) * rows, signs[k]);
      reflect(all[k], rows, q.panel(p));
    }
    each_panel(p + 1, [&](Index r, InterruptWatch& watch) {
      for (std::size_t k = first_of(p); k < last_of(p); ++k) reflect(all[k], rows, q.panel(r));
      watch.spent(per_panel);
    });
  }
  // Q is the product of all reflections. Of its first columns, unit vectors at the start, reflections further down see zeros.
  each_panel(0, [&](Index p, InterruptWatch& watch) {
    std::fill_n(q.panel(p), rows * kLanes, 0.0);
    for (std::size_t k = first_of(p); k < last_of(p); ++k) {
      q.row(p, static_cast<Index>(k))[static_cast<Index>(k) % kLanes] = signs[k];
    }
    for (std::size_t k = last_of(p); k-- > 0;) {
      reflect(all[k], rows, q.panel(p));
      if (watch.spent(per_panel / kLanes)) return;
    }
  });
  return !interrupt.stopped();
}

}  // namespace retrograd
