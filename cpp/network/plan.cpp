// See plan.h.
#include "network/plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "machine/parallel.h"

namespace retrograd {
namespace {

static_assert(kFewRowsTried <= kDeltaRows);  // what one call of delta_rows takes

auto tied(const Plan& p) {
  return std::tie(p.way.first_rows, p.way.few_rows, p.way.small, p.way.narrow, p.team, p.split, p.vectors, p.chunk);
}

auto tied(const Shape& s) {
  return std::tie(s.sizes, s.bytes, s.flops_per_row, s.perturbs, s.perturbs_inputs, s.normalises, s.normalises_batch);
}

auto tied(const Limits& l) {
  return std::tie(l.threads, l.exactly, l.tiles.width, l.tiles.mr, l.tiles.group, l.tiles.row_group, l.half);
}

Index widest_hidden(const Shape& shape) {
  return shape.depth() > 1 ? *std::max_element(shape.sizes.begin() + 1, shape.sizes.end() - 1) : 0;
}

Index widest(const Shape& shape) { return *std::max_element(shape.sizes.begin(), shape.sizes.end()); }

bool perturbs(const Shape& shape, Purpose purpose) { return shape.perturbs && purpose == Purpose::training; }

// Few rows and small networks are for networks without dropout, noise and normalisation, which work on panels only.
bool is_plain(const Shape& shape, Purpose purpose) {
  return purpose != Purpose::by_hand && !perturbs(shape, purpose) && !shape.normalises;
}

// Whether the first layer is faster if it reads the rows in place than if they are gathered into
// panels: where panels would be partly empty, or where the gather is a large share of the layer's work.
bool rows_beat_panels(const Shape& shape, Index batch, const TileSizes& tiles) {
  if (batch < kLanes) return true;
  // Panels without a partner for a tile of two take a third longer.
  const Index alone = tiles.group == 2 && panels(batch) % 2 == 1 ? tiles.width / 3 : 0;
  const Index lanes = (batch + tiles.width - 1) / tiles.width * tiles.width + alone;
  const bool ragged = 10 * lanes >= kRaggedTenths * batch && shape.inputs() >= kRaggedInputs;
  const Index units = shape.sizes[1];
  const bool few_sums = tiles.group == 2 || (batch <= kOnePanelRows && batch * units <= kOnePanelSums);
  const bool much_to_gather = shape.inputs() >= kLongGatherInputs && units <= kLongGatherUnits && few_sums;
  return batch <= kRowsInPlace && (ragged || much_to_gather);
}

bool may_read_rows(const Shape& shape, Purpose purpose) {
  return purpose != Purpose::by_hand && !(shape.perturbs_inputs && purpose == Purpose::training);
}

// What likely_way says where there are no few rows.
Way way_of_many_rows(const Shape& shape, Index batch, Purpose purpose, const TileSizes& tiles) {
  Way way;
  way.small = is_plain(shape, purpose) && batch <= kLanes && widest(shape) <= kSmallUnits;
  way.first_rows = may_read_rows(shape, purpose) && !way.small && rows_beat_panels(shape, batch, tiles);
  return way;
}

Way way_of_few_rows() {
  Way way;
  way.few_rows = way.first_rows = true;
  return way;
}

Way narrow_way() {
  Way way;
  way.narrow = true;
  return way;
}

double flops_of(const Shape& shape, Index batch) { return shape.flops_per_row * static_cast<double>(batch); }

bool first_layer_falls_into_parts(const Shape& shape, Index batch, int team, const TileSizes& tiles) {
  return panels(shape.sizes[1]) % (tiles.group * team) == 0 && panels(batch) >= team;
}

bool first_layer_takes(const Shape& shape, Index bytes) { return shape.inputs() * shape.sizes[1] * shape.bytes >= bytes; }

bool leaves_members_idle(Index batch, int team) {
  const Index count = panels(batch), rounds = (count + team - 1) / team;
  return 4 * count <= kBusyQuarters * rounds * team;
}

double flops_of_phase(const Shape& shape, Index batch, int team) {
  const double intervals = 2.0 * static_cast<double>(shape.depth()) + 2;
  return flops_of(shape, batch) / static_cast<double>(team) / intervals;
}

// Units can be split in panels, and those of the first layer alone where the others do something else.
bool can_split_units(const Way& way) { return !way.small && !way.narrow; }
bool can_split_first_layer(const Shape& shape, const Way& way) {
  return can_split_units(way) && !way.few_rows && shape.depth() > 1 && !shape.normalises;
}

// Bytes of one row of the batch in panels: its inputs, and the activations and deltas of each layer.
Index bytes_per_row(const Shape& shape) {
  const Index units = std::accumulate(shape.sizes.begin() + 1, shape.sizes.end(), Index{0});
  return shape.bytes * (2 * units + shape.inputs());
}

// The rows that one thread takes best at once in the narrow way.
Index narrow_rows(const Shape& shape) {
  Index lanes = 0;  // of a row of the batch, with deltas
  for (const Index units : shape.sizes) lanes += 2 * panels(units) * kLanes;
  return std::clamp(kNarrowBytes / (lanes * shape.bytes) / kLanes * kLanes, kNarrowLeast, kNarrowMost);
}

// Cuts `batch` rows into equal chunks of about `rows`, each a multiple of `step`; 0 where one chunk would hold them.
Index chunk_of(Index batch, Index rows, Index step) {
  const Index pieces = (batch + rows - 1) / rows;
  const Index chunk = ((batch + pieces - 1) / pieces + step - 1) / step * step;
  return chunk < batch ? chunk : 0;
}

// The list while it is made: nothing twice, and not too much.
class List {
 public:
  void add(const Plan& plan) {
    if (plans_.size() < kMostCandidates && std::find(plans_.begin(), plans_.end(), plan) == plans_.end())
      plans_.push_back(plan);
  }
  std::vector<Plan> take() { return std::move(plans_); }

 private:
  std::vector<Plan> plans_;
};

// Makes the list for one call.
class Candidates {
 public:
  Candidates(const Shape& shape, Index batch, Source source, const Limits& limits)
      : shape_(shape), batch_(batch), source_(source), limits_(limits) {
    const double flops = flops_of(shape, batch);
    const Index shares = std::max(panels(batch), shape.inputs() / kLanes);  // gradients can be shared by inputs
    likely_team_ = limits.exactly ? std::max(1, limits.threads) : threads_that_pay(flops, shares, limits.threads);
    other_team_ = 1;
    if (limits.exactly) {
      other_team_ = likely_team_;
    } else if (likely_team_ == 1 && flops >= kFlopsForTwo && panels(batch) >= 2) {
      other_team_ = std::min(2, std::max(1, limits.threads));
    }
  }

  std::vector<Plan> make() {
    make_forms();
    const Way& likely = forms_.front();
    const bool team_first = likely_team_ > 1;
    for (const Way& way : forms_) {
      list_.add(plan(way, likely_team_));
      if (team_first && !limits_.exactly) list_.add(plan(way, 1));
    }
    if (!team_first && !likely.small) list_.add(plan(likely, other_team_));
    add_chunks(plan(likely, likely_team_));
    add_other_split(plan(likely, likely_team_));
    add_half_vectors(plan(likely, likely_team_));
    return list_.take();
  }

 private:
  Plan plan(const Way& way, int team) const {
    Plan plan;
    plan.way = way;
    plan.team = team;
    plan.split = likely_split(shape_, way, batch_, team, limits_.exactly, limits_.tiles);
    if (way.narrow) plan.chunk = chunk_of(batch_, narrow_rows(shape_) * team, kLanes);
    return plan;
  }

  void form(const Way& way) { forms_.push_back(way); }

  // The ways, the likeliest first.
  void make_forms() {
    const Way likely = likely_way(shape_, batch_, Purpose::training, limits_.tiles);
    const bool narrow = is_narrow(shape_);
    if (narrow && batch_ > kLanes) {
      form(narrow_way());
      const Index units = std::accumulate(shape_.sizes.begin(), shape_.sizes.end(), Index{0});
      if (units >= kPanelUnits * (shape_.depth() + 1)) form(likely);  // with fewer, panels are known to lose
      return;
    }
    form(likely);
    if (narrow) form(narrow_way());
    const bool plain = is_plain(shape_, Purpose::training);
    if (plain && batch_ > 1 && batch_ <= kFewRowsTried && widest_hidden(shape_) > kLanes) {
      form(likely.few_rows ? way_of_many_rows(shape_, batch_, Purpose::training, limits_.tiles) : way_of_few_rows());
    }
    const bool in_place = source_ == (shape_.bytes == 4 ? Source::float32 : Source::float64);
    const Index most = in_place ? kRowsTried : kRowsInPlace;  // rows that must be converted are not in place
    if (may_read_rows(shape_, Purpose::training) && !likely.small && !likely.few_rows && shape_.inputs() >= kRaggedInputs &&
        shape_.sizes[1] <= kGatherCounts && batch_ > 1 && batch_ <= most) {
      Way other = likely;
      other.first_rows = !likely.first_rows;
      form(other);
    }
  }

  // Chunks of a batch whose activations and deltas would leave the second cache.
  void add_chunks(Plan plan) {
    // dw of rows in place does not go on from stored sums.
    if (shape_.normalises_batch || plan.way.narrow || plan.way.first_rows || plan.split == Split::units) return;
    const Index per_row = bytes_per_row(shape_), mine = (batch_ + plan.team - 1) / plan.team;
    if (mine * per_row <= kCacheBytes || kChunkLeast * per_row > 2 * kCacheBytes) return;
    const Index rows = std::clamp(kCacheBytes / 2 / per_row, kChunkLeast, kChunkMost) * plan.team;
    plan.chunk = chunk_of(batch_, rows, kLanes * limits_.tiles.group * plan.team);
    if (plan.chunk > 0) list_.add(plan);
  }

  void add_other_split(Plan plan) {
    if (plan.team == 1 || shape_.normalises_batch) return;
    if (plan.split != Split::rows) {
      if (panels(batch_) < plan.team) return;
      plan.split = Split::rows;
    } else if (can_split_first_layer(shape_, plan.way) &&
               first_layer_falls_into_parts(shape_, batch_, plan.team, limits_.tiles) &&
               first_layer_takes(shape_, kSplitFirstBytes / 4)) {
      plan.split = Split::first_layer;
    } else if (can_split_units(plan.way) && leaves_members_idle(batch_, plan.team) &&
               flops_of_phase(shape_, batch_, plan.team) >= kFlopsOfPhase / 4) {
      plan.split = Split::units;
    }
    list_.add(plan);
  }

  // Vectors of half the length, where they are as fast anyway or where the long ones would be half empty.
  void add_half_vectors(Plan plan) {
    // Small and narrow networks take them by themselves, where they are better.
    if (limits_.half == HalfVectors::none || plan.way.small || plan.way.narrow) return;
    if (limits_.half == HalfVectors::slower && panels(batch_) > 1) return;
    plan.vectors = Vectors::half;
    list_.add(plan);
  }

  const Shape& shape_;
  Index batch_;
  Source source_;
  const Limits& limits_;
  int likely_team_, other_team_;
  std::vector<Way> forms_;
  List list_;
};

}  // namespace

bool operator==(const Plan& a, const Plan& b) { return tied(a) == tied(b); }
bool operator<(const Shape& a, const Shape& b) { return tied(a) < tied(b); }
bool operator<(const Limits& a, const Limits& b) { return tied(a) < tied(b); }

std::string describe(const Plan& plan) {
  std::string text = plan.way.narrow       ? "narrow"
                     : plan.way.small      ? "small network"
                     : plan.way.few_rows   ? "few rows"
                     : plan.way.first_rows ? "first layer by rows"
                                           : "panels";
  if (plan.team == 1) {
    text += ", 1 thread";
  } else {
    const char* shared = plan.split == Split::rows    ? "rows of the batch"
                         : plan.split == Split::units ? "units of each layer"
                                                      : "units of the first layer";
    text += ", " + std::to_string(plan.team) + " threads by " + shared;
  }
  if (plan.vectors == Vectors::half) text += ", half vectors";
  if (plan.chunk > 0) text += ", " + std::to_string(plan.chunk) + " rows at a time";
  return text;
}

bool is_narrow(const Shape& shape) { return is_plain(shape, Purpose::training) && widest(shape) <= kSmallUnits; }

Way likely_way(const Shape& shape, Index batch, Purpose purpose, const TileSizes& tiles) {
  const bool few = is_plain(shape, purpose) && batch < kFewRows && widest_hidden(shape) > kLanes;
  return few ? way_of_few_rows() : way_of_many_rows(shape, batch, purpose, tiles);
}

Split likely_split(const Shape& shape, const Way& way, Index batch, int team, bool exactly, const TileSizes& tiles) {
  if (shape.normalises_batch) return Split::units;  // each mean is one member's work
  if (team == 1 || way.narrow) return Split::rows;
  if (leaves_members_idle(batch, team) && (exactly || flops_of_phase(shape, batch, team) >= kFlopsOfPhase)) {
    return Split::units;
  }
  if (way.few_rows || shape.depth() == 1 || shape.normalises) return Split::rows;
  const bool parts = first_layer_falls_into_parts(shape, batch, team, tiles);
  return parts && (exactly || first_layer_takes(shape, kSplitFirstBytes)) ? Split::first_layer : Split::rows;
}

std::vector<Plan> candidates(const Shape& shape, Index batch, Source source, const Limits& limits) {
  return Candidates(shape, batch, source, limits).make();
}

}  // namespace retrograd
