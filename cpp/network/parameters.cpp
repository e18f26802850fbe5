// See parameters.h.
#include "network/parameters.h"

namespace retrograd {

const char* name_of(ParameterKind kind) {
  constexpr const char* names[] = {"w", "b", "gamma", "beta", "running_mean", "running_var"};
  return names[static_cast<std::size_t>(kind)];
}

ParameterTable::ParameterTable(const std::vector<Index>& sizes, const std::vector<Norm>& norms,
                               const std::vector<bool>& biases) {
  for (Index l = 0; l + 1 < static_cast<Index>(sizes.size()); ++l) {
    const auto i = static_cast<std::size_t>(l);
    const Index fan_in = sizes[i], fan_out = sizes[i + 1];
    const auto add = [&](ParameterKind kind, Index rows, Index height, Index& arena) {
      const Index values = checked_multiply(checked_multiply(checked_panels(fan_out), height), kLanes);
      arrays_.push_back({kind, l, rows, fan_out, height, arena});
      arena = checked_add(arena, values);
    };
    checked_panels(fan_in);
    const Index w = learned_values_;
    add(ParameterKind::w, fan_in, padded_rows(fan_in), learned_values_);
    const Index vectors = learned_values_;
    if (biases.empty() || biases[i]) add(ParameterKind::b, 1, 1, learned_values_);
    if (norms[i] != Norm::none) {
      add(ParameterKind::gamma, 1, 1, learned_values_);
      add(ParameterKind::beta, 1, 1, learned_values_);
    }
    groups_.push_back({l, w, vectors - w});
    groups_.push_back({l, vectors, learned_values_ - vectors});
    if (norms[i] == Norm::batch) {
      add(ParameterKind::running_mean, 1, 1, statistics_values_);
      add(ParameterKind::running_var, 1, 1, statistics_values_);
    }
  }
}

const ParameterArray* ParameterTable::find(ParameterKind kind, Index layer) const {
  for (const ParameterArray& array : arrays_) {
    if (array.kind == kind && array.layer == layer) return &array;
  }
  return nullptr;
}

bool ParameterTable::operator==(const ParameterTable& other) const {
  if (arrays_.size() != other.arrays_.size()) return false;
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    const ParameterArray &a = arrays_[i], &b = other.arrays_[i];
    if (a.kind != b.kind || a.layer != b.layer || a.rows != b.rows || a.cols != b.cols) return false;
  }
  return true;
}

}  // namespace retrograd
