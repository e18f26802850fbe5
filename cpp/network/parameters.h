// Which arrays of numbers a network has, and where each lies. This is the only table of them: code that
// saves, shows, updates, clips or counts parameters asks it. It holds no numbers itself.
//
// The learned arrays lie in one arena, layer by layer: w, b where the layer has biases, then gamma and beta where it
// normalises; each is padded to whole panels. Gradients and the planes of an optimiser's state are laid
// out in the same way. The running means and variances of batch normalisation, which no gradient moves,
// lie in an arena of their own.
#pragma once

#include <string>
#include <vector>

#include "base/arena.h"
#include "base/kinds.h"

namespace retrograd {

enum class ParameterKind : int { w = 0, b, gamma, beta, running_mean, running_var };

const char* name_of(ParameterKind kind);

struct ParameterArray {
  ParameterKind kind;
  Index layer;
  Index rows;    // fan_in; 1 for a vector
  Index cols;    // fan_out
  Index height;  // rows of a panel in memory, padding included
  Index begin;   // the place of its first value in its arena

  bool learned() const { return kind < ParameterKind::running_mean; }
  bool vector() const { return kind != ParameterKind::w; }
  Index values() const { return panels(cols) * height * kLanes; }  // padding included
  // Its panels, in an arena that begins at `base`.
  template <class T>
  Panels<T> in(T* base) const {
    return {base + begin, height};
  }
};

// A stretch of memory that one update serves: the weights of a layer, or its vectors (b, gamma, beta) together. It is empty
// where a layer has no vectors.
struct UpdateGroup {
  Index layer;
  Index begin;
  Index values;  // padding included
};

class ParameterTable {
 public:
  // `sizes` lists the inputs, then the units of each layer; `norms` has one for each layer, and so has `biases`, which says
  // who has them (empty: all have). It throws std::length_error where a size overflows.
  ParameterTable(const std::vector<Index>& sizes, const std::vector<Norm>& norms, const std::vector<bool>& biases = {});

  const std::vector<ParameterArray>& arrays() const { return arrays_; }
  // The array, or null where the layer has none of that kind.
  const ParameterArray* find(ParameterKind kind, Index layer) const;

  Index learned_values() const { return learned_values_; }        // size of the arena of learned arrays
  Index statistics_values() const { return statistics_values_; }  // size of the other arena

  // Two groups for each layer, in the order of the arena: its weights, then its vectors.
  const std::vector<UpdateGroup>& groups() const { return groups_; }
  static Index group_of_weights(Index layer) { return 2 * layer; }
  static Index group_of_vectors(Index layer) { return 2 * layer + 1; }

  bool operator==(const ParameterTable& other) const;

 private:
  std::vector<ParameterArray> arrays_;
  std::vector<UpdateGroup> groups_;
  Index learned_values_ = 0, statistics_values_ = 0;
};

}  // namespace retrograd
