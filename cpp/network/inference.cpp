// See inference.h.
#include "network/inference.h"

#include <algorithm>

#include "machine/team.h"

namespace retrograd {
namespace {

// Calls use(work, pass, first row of the slice, rows) for every slice, when the workspace
// holds the outputs of its rows.
template <class T, class F>
bool for_slices(const Network<T>& network, const Rows& x, Threads threads, Poll poll, SpareWorkspace<T>* spare,
                TeamChoices* teams, F use) {
  const double flops = network.flops_per_row() / 2 * static_cast<double>(x.rows);
  const Index all = panels(x.rows);
  TeamChoices::Turn turn(teams, spare ? 1 : 0, flops, all, threads);
  Team team(turn.threads());
  const Index size = team.size();
  const Index slice = std::max<Index>(1, std::min(kSlicePanels, (all + size - 1) / size));
  const Index rows_at_once = std::min(x.rows, slice * kLanes);
  std::unique_ptr<Workspace<T>> waited;
  std::vector<Workspace<T>> work;
  if (spare && size == 1) {
    waited = spare->take(network, rows_at_once);
  } else {
    work.reserve(static_cast<std::size_t>(size));
    for (Index i = 0; i < size; ++i) work.emplace_back(network, rows_at_once, Purpose::inference);
  }
  Interrupt interrupt(poll);
  team.each((all + slice - 1) / slice, [&](const Share& share, int number) {
    Worker me(interrupt, number);
    if (interrupt.stopped()) return;
    const Workspace<T>& mine = waited ? *waited : work[static_cast<std::size_t>(number)];
    const Index row = share.id * slice * kLanes, rows = std::min(slice * kLanes, x.rows - row);
    const Pass<T> pass(network, mine, rows);
    pass.load_inputs(x, Selection{nullptr, row}, pass.all());
    if (!pass.forward(pass.all(), me)) return;
    use(mine, pass, row, rows);
    me.watch.spent(static_cast<double>(rows * network.outputs()));
  });
  if (!interrupt.stopped()) turn.end(team.was_late());
  if (spare && waited) spare->give(std::move(waited));  // `waited` implies `spare`, but g++ cannot see that
  return !interrupt.stopped();
}

// Tells `bad` of the rows, from `row` on, that have a number in [units][16] panels that is not finite. The
// lanes behind the last row hold anything, so what the quick look finds is looked at lane by lane.
template <class T>
void find_bad_rows(const Kernels<T>& kernels, Panels<T> a, Index units, Index rows, Index row, BadRows& bad) {
  const auto finite = kernels.finite[static_cast<int>(source_of<T>)];
  for (Index p = 0; p < panels(rows); ++p) {
    const T* panel = a.panel(p);
    const Index lanes = lanes_of(rows, p);
    if (lanes > 1 && finite(units * kLanes, panel)) continue;  // of one row it would look at 15 lanes too many
    for (Index i = 0; i < lanes; ++i) {
      T sum = 0;  // of x * 0, which is NaN where x is not finite
      for (Index j = 0; j < units; ++j) sum += panel[j * kLanes + i] * 0;
      if (sum != 0) bad.see(row + p * kLanes + i);
    }
  }
}

// Finds the largest unit of each lane of [units][16] as NumPy's argmax does: the first of equals,
// and the first NaN before all.
template <class T>
void argmax(const T* a, Index units, Index rows, std::int64_t* out) {
  T high[kLanes];
  std::int32_t best[kLanes] = {};
  std::copy_n(a, kLanes, high);
  for (Index j = 1; j < units; ++j) {
    const T* row = a + j * kLanes;
    for (Index i = 0; i < kLanes; ++i) {
      const bool higher = (row[i] > high[i]) | ((row[i] != row[i]) & (high[i] == high[i]));
      high[i] = higher ? row[i] : high[i];
      best[i] = higher ? static_cast<std::int32_t>(j) : best[i];
    }
  }
  std::copy_n(best, rows, out);
}

}  // namespace

template <class T>
std::unique_ptr<Workspace<T>> SpareWorkspace<T>::take(const Network<T>& network, Index rows) {
  std::unique_ptr<Workspace<T>> work(slot_for(rows).exchange(nullptr));
  if (!work || work->batch() < rows) {
    work.reset();
    work = std::make_unique<Workspace<T>>(network, rows < kFewRows ? kFewRows - 1 : rows, Purpose::inference);
  }
  return work;
}

template <class T>
void SpareWorkspace<T>::give(std::unique_ptr<Workspace<T>> work) {
  work.reset(slot_for(work->batch()).exchange(work.release()));
}

template <class T>
void activate_panels(const Kernels<T>& kernels, Panels<T> a, Index rows, Index units, Activation activation) {
  for (Index p = 0; p < panels(rows); ++p) {
    kernels.activate(units, lanes_of(rows, p), a.panel(p), activation);
  }
}

template <class T>
void unpack_batch(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units, T* out) {
  alignas(64) T block[kLanes * kLanes];
  for (Index r = 0; r < rows; r += kLanes) {
    const Index lanes = lanes_of(rows, r / kLanes);
    for (Index j = 0; j < units; j += kLanes) {
      const Index width = std::min(kLanes, units - j);
      kernels.of(kLanes).transpose(width, lanes, from.row(r / kLanes, j), block);
      for (Index i = 0; i < lanes; ++i) std::copy_n(block + i * kLanes, width, out + (r + i) * units + j);
    }
  }
}

template <class T>
bool predict(const Network<T>& network, const Rows& x, bool probabilities, T* out, Threads threads, Poll poll,
             SpareWorkspace<T>* spare, BadRows* bad) {
  const Index units = network.outputs();
  return for_slices(network, x, threads, poll, spare, spare ? &spare->teams : nullptr,
                    [&](const Workspace<T>& work, const Pass<T>&, Index row, Index rows) {
                      const Panels<T> a = work.a({network.depth()});
                      if (probabilities) activate_panels(work.kernels(), a, rows, units, network.loss_activation());
                      unpack_batch(work.kernels(), a, rows, units, out + row * units);
                      if (bad) find_bad_rows(work.kernels(), a, units, rows, row, *bad);
                    });
}

template <class T>
bool classify(const Network<T>& network, const Rows& x, std::int64_t* out, Threads threads, Poll poll, SpareWorkspace<T>* spare,
              BadRows* bad) {
  const Index units = network.outputs();
  const bool one_of_all = network.picks_one();
  return for_slices(network, x, threads, poll, spare, spare ? &spare->teams : nullptr,
                    [&](const Workspace<T>& work, const Pass<T>&, Index row, Index rows) {
                      const Panels<T> a = work.a({network.depth()});
                      if (bad) find_bad_rows(work.kernels(), a, units, rows, row, *bad);
                      if (one_of_all) {
                        for (Index r = 0; r < rows; r += kLanes)
                          argmax(a.panel(r / kLanes), units, std::min(kLanes, rows - r), out + row + r);
                        return;
                      }
                      for (Index r = 0; r < rows; ++r) {
                        const T* lane = a.panel(r / kLanes) + r % kLanes;
                        for (Index j = 0; j < units; ++j) out[(row + r) * units + j] = lane[j * kLanes] > 0 ? 1 : 0;
                      }
                    });
}

template <class T>
bool evaluate(const Network<T>& network, const Rows& x, const Targets& y, Score& score, Threads threads, Poll poll,
              TeamChoices* teams) {
  std::vector<Score> scores(static_cast<std::size_t>(panels(x.rows)));
  const bool finished = for_slices<T>(network, x, threads, poll, nullptr, teams,
                                      [&](const Workspace<T>& work, const Pass<T>& pass, Index row, Index rows) {
                                        pass.load_targets(y, Selection{nullptr, row}, pass.all());
                                        pass.loss(y, 0, false, pass.all());
                                        std::copy(work.scores(), work.scores() + panels(rows), scores.begin() + row / kLanes);
                                      });
  for (const Score& s : scores) score += s;
  return finished;
}

#define RG_INSTANTIATE(T)                                                                                             \
  template void activate_panels(const Kernels<T>&, Panels<T>, Index, Index, Activation);                              \
  template void unpack_batch(const Kernels<T>&, Panels<T>, Index, Index, T*);                                         \
  template class SpareWorkspace<T>;                                                                                   \
  template bool predict(const Network<T>&, const Rows&, bool, T*, Threads, Poll, SpareWorkspace<T>*, BadRows*);       \
  template bool classify(const Network<T>&, const Rows&, std::int64_t*, Threads, Poll, SpareWorkspace<T>*, BadRows*); \
  template bool evaluate(const Network<T>&, const Rows&, const Targets&, Score&, Threads, Poll, TeamChoices*);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
