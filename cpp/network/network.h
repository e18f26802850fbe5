// A network's parameters in one arena, the memory of one batch in another, and the passes over them: forward, loss,
// backward, dw with its update. Each pass does the share of the work that its arguments name; threads are the caller's.
#pragma once

#include <vector>

#include "layers/dense.h"
#include "base/arena.h"
#include "layers/norm.h"
#include "data/rows.h"

namespace retrograd {

// Where a batch's answers come from: labels (one class a row) or rows of `units` numbers of type T. Where weights.data is not
// null, each row counts with its own weight (one column of type T; finite, not negative).
struct Targets {
  const std::int32_t* labels = nullptr;
  Rows rows;
  Rows weights;
};

// What keeps a layer from learning its rows by heart.
struct LayerRegularisation {
  double dropout = 0;      // in training each output is 0 with this probability, else divided by its complement; hidden layers
  double max_norm = 0;     // after an update no unit's incoming weights have a larger norm; 0: no limit
  Norm norm = Norm::none;  // hidden layers
};

struct Regularisation {
  double input_dropout = 0;
  double input_noise = 0;  // standard deviation of what is added to the inputs in training, before they are dropped
  std::vector<LayerRegularisation> layers;  // one a layer, or none at all
  std::uint64_t seed = 0;                   // of the numbers that training draws
};

// Where the gradients of all layers go: they are stored, or, where `updates` are given (one for the weights and one for the
// biases of each layer, in turn), they go at once into the parameters. Arrays are laid out as the parameters.
template <class T>
struct Destination {
  T* gradients = nullptr;
  T* state = nullptr;  // its first plane; null where the rule has none
  const Update<T>* updates = nullptr;
  bool alike = false;  // all updates are one, fused, and nothing is frozen
};

template <class T>
class Network {
 public:
  // sizes: inputs, then the units of each layer; one activation a layer. Throws std::invalid_argument where they do not fit.
  // `loss_parameter` as LossArgs has it.
  Network(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss, double loss_parameter = 0,
          Regularisation regularisation = {});

  const std::vector<DenseLayer<T>>& layers() const { return layers_; }
  const DenseLayer<T>& layer(Index l) const { return layers_[static_cast<std::size_t>(l)]; }
  Index depth() const { return depth_; }
  Index inputs() const { return layers_.front().fan_in; }
  Index outputs() const { return layers_.back().fan_out; }
  Index size_of(Index l) const { return l == 0 ? inputs() : layer(l - 1).fan_out; }
  Loss loss() const { return loss_; }
  T loss_parameter() const { return loss_parameter_; }
  const Kernels<T>& kernels() const { return kernels_; }

  // Whether the answers are one label of `outputs()` for each row.
  bool picks_one() const {
    return loss_ == Loss::cross_entropy || loss_ == Loss::focal || (loss_ == Loss::hinge && outputs() > 1);
  }

  // The last layer's activation as the user sees it. Where the loss applies it itself (softmax in cross_entropy, sigmoid
  // in binary_cross_entropy), the layer's own is identity: its outputs are logits.
  Activation output_activation() const { return output_activation_; }

  // What the loss applies to the outputs before it compares them: softmax, sigmoid, exponential or (the other losses) identity.
  Activation loss_activation() const {
    return loss_ == Loss::cross_entropy || loss_ == Loss::focal ? Activation::softmax
           : loss_ == Loss::binary_cross_entropy                ? Activation::sigmoid
           : loss_ == Loss::poisson                             ? Activation::exponential
                                                                : Activation::identity;
  }

  // All weights, then biases, layer by layer, with zero padding; gradients and optimiser state have the same layout.
  const Arena<T>& parameters() const { return parameters_; }
  DwTarget<T> mirror(Index l, const Destination<T>& to) const;

  // Multiply-add flops of one row of a training step, with a charge for activations; half of it is about the forward pass.
  double flops_per_row() const { return flops_per_row_; }

  const Regularisation& regularisation() const { return regularisation_; }
  // Probability that an output of layer l (counted from 1; 0: an input) is dropped in training.
  double dropout(Index l) const { return l == 0 ? regularisation_.input_dropout : of_layer(l).dropout; }
  double max_norm(Index l) const { return of_layer(l).max_norm; }
  // Whether training changes what is read of level l: x(l) is then not a(l).
  bool perturbs(Index l) const { return dropout(l) > 0 || (l == 0 && regularisation_.input_noise > 0); }
  bool perturbs() const { return perturbs_; }  // any level
  Norm norm(Index l) const { return of_layer(l).norm; }
  bool normalises() const { return normalises_; }              // any layer
  bool normalises_batch() const { return normalises_batch_; }  // ... over the rows of the batch
  // Running means and variances of the layers that need them, and nothing else.
  const Arena<T>& statistics() const { return statistics_; }
  bool limits_norms() const { return limits_norms_; }  // of any layer

  // Counts the changes of the parameters.
  std::uint64_t version = 0;
  // Counts the updates that the network has learned from: with the seed it fixes the numbers that training draws.
  std::uint64_t steps = 0;

 private:
  const Kernels<T>& kernels_;
  Index depth_;
  std::vector<DenseLayer<T>> layers_;
  Arena<T> parameters_;
  Loss loss_;
  T loss_parameter_;
  Activation output_activation_;
  double flops_per_row_ = 0;
  void check_regularisation();
  LayerRegularisation of_layer(Index l) const {
    return regularisation_.layers.empty() ? LayerRegularisation{} : regularisation_.layers[static_cast<std::size_t>(l - 1)];
  }
  Regularisation regularisation_;
  bool perturbs_ = false, limits_norms_ = false, normalises_ = false, normalises_batch_ = false;
  Arena<T> statistics_;
};

enum class Distribution : int { normal = 0, uniform };  // standard normal; uniform in (-1, 1)

// Weights of layer l = scale * a random number of (seed, l, place in row-major order); biases are left alone.
template <class T>
void fill_weights(Network<T>& network, Index l, Distribution distribution, double scale, std::uint64_t seed);

// The first layer with a weight or bias that is not finite, or -1.
template <class T>
Index find_nonfinite_layer(const Network<T>& network);

// Sums over the rows of a batch or of a data set, each times its weight (1 where there are none).
struct Score {
  double loss = 0;
  double metric = 0;
  double weight = 0;

  Score& operator+=(const Score& other) {
    loss += other.loss;
    metric += other.metric;
    weight += other.weight;
    return *this;
  }
  // A sum as a mean over rows; 0 where no row counts.
  double mean(double sum) const { return weight > 0 ? sum / weight : 0; }
};

// What a batch needs to keep beside activations.
enum class Keep { forward, training, everything };  // everything: z and gradients too

// Below this many rows a panel of the batch would be mostly empty: where a hidden layer fills a panel of its own, the passes
// run with lanes = units, over rows (8-64-64-4: 1.57 times as fast at 1 row, 1.2 at 4, 0.88 to 1.01 at 7).
constexpr Index kFewRows = 6;
static_assert(kFewRows - 1 <= kDeltaRows);

// A network whose layers have at most so many units is small: for a batch of one panel the passes over all layers are lists of
// calls, and with one thread the whole batch is one function (small_pass). With more than 16 units not for few rows.
constexpr Index kSmallUnits = 64;

// Activations, deltas and targets of one batch.
template <class T>
class Workspace {
 public:
  Workspace(const Network<T>& network, Index batch, Keep keep);

  // Whether passes do what is done in training alone, and with the random numbers of which step.
  bool training;
  std::uint64_t step = 0;

  Index batch() const { return batch_; }
  const Kernels<T>& kernels() const { return *kernels_; }                 // for passes over this batch
  Panels<T> a(Index l) const { return a_[static_cast<std::size_t>(l)]; }  // l = 0: the inputs
  // What layer l (counted from 0) reads: a(l) or, in training, what dropout and noise make of it.
  Panels<T> x(Index l) const { return training ? x_[static_cast<std::size_t>(l)] : a(l); }
  bool drops(Index l) const { return training && drops_[static_cast<std::size_t>(l)]; }
  Panels<T> z(Index l) const { return z_[static_cast<std::size_t>(l)]; }  // l >= 1; data null if not kept
  // What f' of layer l >= 1 is computed from: a, or z, which is kept for training where f asks for it.
  Panels<T> derived_from(Index l, Activation f) const { return derived_from_z(f) ? z(l) : a(l); }
  Panels<T> delta_t(Index l) const { return delta_t_[static_cast<std::size_t>(l)]; }  // l >= 1
  Panels<T> delta(Index l) const { return delta_[static_cast<std::size_t>(l % 2)]; }  // two take turns
  // Of level l >= 1, where its layer normalises.
  NormState<T> norm(Index l) const {
    NormState<T> state = norms_[static_cast<std::size_t>(l)];
    state.of_batch = training;
    return state;
  }
  Panels<T> target() const { return target_; }
  T* weights(Index p) const { return weights_.panel(p); }  // of the rows of batch panel p, where there are any
  std::int32_t* labels() const { return labels_.data(); }
  Score* scores() const { return scores_.data(); }  // one for each panel of the batch
  const Arena<T>& gradients() const { return gradients_; }

  // Row pointers of the batch instead of panels a(0), where rows_beat_panels (network.cpp) says so; else null.
  const T** rows() const { return rows_.data(); }
  T* row_buffer() const { return row_buffer_.data(); }

  // A batch of a few rows: activations of the hidden layers and deltas as rows; of panels there are a(depth), delta(depth)
  // and delta_t. Not where z and the like are kept for the user.
  bool few() const { return few_; }
  FewRows<T> few_a(Index l) const { return few_a_[static_cast<std::size_t>(l)]; }              // 1 <= l < depth
  FewRows<T> few_z(Index l) const { return few_z_[static_cast<std::size_t>(l)]; }              // data null if not kept
  FewRows<T> few_delta(Index l) const { return few_delta_[static_cast<std::size_t>(l % 2)]; }  // two take turns

  // Whether this is a small network with a batch of one panel, whose passes are lists of calls. Not where z and the like are
  // kept for the user.
  bool small() const { return !small_.empty(); }
  const SmallLayer<T>& small_last() const { return small_.back(); }
  // The passes, for `lanes` rows. Their lists are kept, and written anew where the arguments are others.
  void small_forward(int lanes) const;
  void small_backward(int lanes) const;
  void small_update(int lanes, const T* parameters, T* beside, const Update<T>* update) const;

  // The inputs of layer l (counted from 0) as row pointers, or null where they lie in panels.
  const T* const* inputs_as_rows(Index l) const { return l == 0 ? rows_.data() : few_ ? few_a(l).rows : nullptr; }

 private:
  Index batch_;
  const Kernels<T>* kernels_;
  std::vector<Panels<T>> a_, x_, z_, delta_t_;
  std::vector<bool> drops_;
  std::vector<NormState<T>> norms_;
  Panels<T> delta_[2], target_, weights_;
  Arena<T> values_, gradients_, row_buffer_;
  Arena<const T*> rows_, few_pointers_;
  std::vector<FewRows<T>> few_a_, few_z_;
  FewRows<T> few_delta_[2];
  bool few_ = false;
  // What a list of calls was written for.
  struct SmallKey {
    int lanes = 0;
    Terms terms = Terms::unknown;
    const T* beside = nullptr;
    const Update<T>* update = nullptr;

    bool operator==(const SmallKey& other) const {
      return lanes == other.lanes && terms == other.terms && beside == other.beside && update == other.update;
    }
  };
  struct SmallPass {
    std::vector<SmallCall<T>> calls;  // room for those of a whole batch
    Index count = 0;
    SmallKey key;

    // Runs the list, which write(calls) writes anew where it is that of another key, and returns the length of.
    template <class Write>
    void run(const SmallKey& now, Write write) {
      if (!(key == now)) {
        key = now;
        count = write(calls.data());
      }
      for (const SmallCall<T>*call = calls.data(), *end = call + count; call < end; ++call) call->run(*call);
    }
  };
  std::vector<SmallLayer<T>> small_;
  mutable SmallPass forward_, backward_, update_;
  Arena<T> few_values_;
  Arena<std::int32_t> labels_;
  Arena<Score> scores_;
};

// The rows of a batch and their answers into the workspace, batch panels p0..p1.
template <class T>
void load_inputs(const Workspace<T>& work, const Rows& x, Selection selection, Index p0, Index p1, Index batch);
template <class T>
void load_targets(const Workspace<T>& work, const Targets& y, Selection selection, Index p0, Index p1, Index batch);

// The sum of the weights of a batch's rows, in their order; without weights their number.
template <class T>
double weight_of(const Targets& y, Selection selection, Index batch);

// In training: noise and dropout on the inputs that were loaded, batch panels p0..p1.
template <class T>
void perturb_inputs(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch);

// dx through the mask of the inputs.
template <class T>
void drop_input_gradient(const Network<T>& network, const Workspace<T>& work, Panels<T> dx, Index p0, Index p1, Index batch);

// a (and z) of every layer from x(0); false: interrupted.
template <class T>
bool forward_pass(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch, Watch& watch);

// The same for all the batch, with each layer's outputs split among the team: a barrier after each layer. For batches that
// do not fall into as many equal parts as there are members, and for means over the batch. Interrupted or not, every member
// comes to every barrier.
template <class T>
bool forward_pass_split(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member, Watch& watch);

// The same with the outputs of the first layer alone split among the team, and a barrier after it; from there on panels p0..p1.
template <class T>
bool forward_pass_first_split(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch,
                              const Member& member, Watch& watch);

// Whether the outputs of the first layer are better split among the team than its rows of the batch: where it is large, each
// core then keeps its part of w and of the velocity in its own cache from step to step (784-128-10 at batch 64, 2 threads:
// 1.2 times as fast). Only where all get the same share. `forced` as in team_size.
template <class T>
bool splits_first_layer(const Network<T>& network, const Workspace<T>& work, Index rows, int team, int forced);

// Scores of panels p0..p1, whose targets `y` were loaded, and, if wanted, the delta of the last layer for the mean over the
// batch, whose rows weigh `weight` together (weight_of; 0: every delta is 0).
template <class T>
void loss_pass(const Network<T>& network, const Workspace<T>& work, const Targets& y, Index p0, Index p1, Index batch,
               double weight, bool want_delta);

// A whole batch where work.small(), for a single thread: what load_inputs, load_targets, forward_pass, loss_pass and
// backward_pass do in turn, with nothing asked between them, which would be half of the time. For targets without weights.
template <class T>
Score small_pass(const Network<T>& network, const Workspace<T>& work, const Rows& x, const Targets& y, Selection selection,
                 Index batch);

// Deltas of every layer from that of the last, each transposed for its dw; false: interrupted.
template <class T>
bool backward_pass(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch, Watch& watch);

// The same for all the batch, with the units of each layer split among the team; `go_on` false: only to the barriers.
template <class T>
void backward_pass_split(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member, Watch& watch,
                         bool go_on);

// dw and db of every layer. `first_split`: of the first layer each member takes the units that it took in
// forward_pass_first_split.
template <class T>
void dw_pass(const Network<T>& network, const Workspace<T>& work, const Destination<T>& to, Index batch, const Member& member,
             bool first_split = false);

// After a forward pass in training over `batch` rows: the running means take in those of the batch, this member's share of
// them.
template <class T>
void remember_statistics(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member);

// This member's share of the columns of w: those whose norm is above their layer's limit are scaled down to it, but for frozen
// weights. `updates` as in Destination; after the step of all members.
template <class T>
void limit_norms(const Network<T>& network, const Update<T>* updates, const Member& member);

// The scores of the panels added in their order.
template <class T>
Score batch_score(const Workspace<T>& work, Index batch);

}  // namespace retrograd
