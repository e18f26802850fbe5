// The memory of one batch (activations, deltas, targets). How passes run over it is a plan's matter (plan.h); the
// passes themselves are in passes.h.
#pragma once

#include <vector>

#include "data/targets.h"
#include "layers/norm.h"
#include "network/network.h"

namespace retrograd {

// A pass over a small network as a list of calls. The list is kept, and written anew when its arguments change.
template <class T>
class CallList {
 public:
  // What a list was written for.
  struct Key {
    int lanes = 0;
    Terms terms = Terms::unknown;
    const T* beside = nullptr;
    const Update<T>* update = nullptr;

    bool operator==(const Key& other) const {
      return lanes == other.lanes && terms == other.terms && beside == other.beside && update == other.update;
    }
  };

  // Makes room for so many calls. A list for a whole batch needs the most.
  void reserve(Index calls) { calls_.resize(static_cast<std::size_t>(calls)); }

  // Runs the list. Where the list was made for another key, write(calls) writes it anew and returns its length.
  template <class Write>
  void run(const Key& key, Write write) {
    if (!(key_ == key)) {
      key_ = key;
      count_ = write(calls_.data());
    }
    for (const SmallCall<T>*call = calls_.data(), *end = call + count_; call < end; ++call) call->run(*call);
  }

 private:
  std::vector<SmallCall<T>> calls_;
  Index count_ = 0;
  Key key_;
};

template <class T>
class Workspace {
 public:
  // For the way that is likely the best, or for the one of a plan.
  Workspace(const Network<T>& network, Index batch, Purpose purpose);
  Workspace(const Network<T>& network, Index batch, Purpose purpose, const Way& way);

  // Whether passes do what only training does, and the step whose random numbers they take.
  bool training;
  std::uint64_t step = 0;

  Index batch() const { return batch_; }
  // Other vectors with the same bits; not for the way of small networks.
  void use(const Kernels<T>& kernels) { kernels_ = &kernels; }
  const Way& way() const { return way_; }
  const Kernels<T>& kernels() const { return *kernels_; }  // the kernels for passes over this batch

  Panels<T> a(Level level) const { return a_[at(level.i)]; }
  // What the next layer reads of a level: a or, in training, what dropout and noise make of it.
  Panels<T> x(Level level) const { return training ? x_[at(level.i)] : a(level); }
  bool drops(Level level) const { return training && drops_[at(level.i)]; }

  // The members below belong to layer l.
  Panels<T> z(Index l) const { return z_[at(l)]; }          // data null if it is not kept
  Panels<T> delta(Index l) const { return delta_[l % 2]; }  // two buffers take turns
  Panels<T> delta_t(Index l) const { return delta_t_[at(l)]; }
  // What f' of layer l is computed from: a, or z where f needs it (training keeps z for such f).
  Panels<T> derived_from(Index l, Activation f) const { return derived_from_z(f) ? z(l) : a(above(l)); }
  // The state of a layer that normalises.
  NormState<T> norm(Index l) const {
    NormState<T> state = norms_[at(l)];
    state.of_batch = training;
    return state;
  }

  Panels<T> target() const { return target_; }
  T* row_weights(Index p) const { return row_weights_.panel(p); }  // of batch panel p, where targets have row weights
  std::int32_t* labels() const { return labels_.data(); }
  Score* scores() const { return scores_.data(); }  // one for each panel of the batch
  const Arena<T>& gradients() const { return gradients_; }

  // way().first_rows: pointers to the rows of the batch, and the buffer for rows that must
  // be converted to T. Else null.
  const T** rows() const { return rows_.data(); }
  T* row_buffer() const { return row_buffer_.data(); }
  // The inputs of layer l as row pointers, or null where they lie in panels.
  const T* const* inputs_as_rows(Index l) const {
    return l == 0 ? rows_.data() : way_.few_rows ? few_a(below(l)).rows : nullptr;
  }

  // way().few_rows: the activations of the hidden layers and the deltas, as rows. The only panels are
  // then a and delta of the last layer, and every delta_t.
  FewRows<T> few_a(Level level) const { return few_a_[at(level.i)]; }    // of a hidden layer
  FewRows<T> few_z(Index l) const { return few_z_[at(l)]; }              // data null if it is not kept
  FewRows<T> few_delta(Index l) const { return few_delta_[at(l % 2)]; }  // two buffers take turns

  // way().small: the passes, for `lanes` rows.
  const SmallLayer<T>& small_last() const { return small_.back(); }
  void small_forward(int lanes) const {
    forward_.run({lanes}, [&](SmallCall<T>* calls) {
      return kernels_->small_forward(static_cast<Index>(small_.size()), small_.data(), lanes, calls);
    });
  }
  void small_backward(int lanes) const {
    backward_.run({lanes}, [&](SmallCall<T>* calls) {
      return kernels_->small_backward(static_cast<Index>(small_.size()), small_.data(), lanes, calls);
    });
  }
  void small_update(int lanes, const T* parameters, T* beside, const Update<T>* update) const {
    update_.run({lanes, update ? update->terms : Terms::unknown, beside, update}, [&](SmallCall<T>* calls) {
      return kernels_->small_update(static_cast<Index>(small_.size()), small_.data(), lanes, parameters, beside, update, calls);
    });
  }

 private:
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  void make_panels(const Network<T>& network, Purpose purpose);
  void make_few_rows(const Network<T>& network, Purpose purpose);
  void make_small(const Network<T>& network, Purpose purpose);

  Index batch_;
  Way way_;
  const Kernels<T>* kernels_;
  std::vector<Panels<T>> a_, x_, z_, delta_t_;
  std::vector<bool> drops_;
  std::vector<NormState<T>> norms_;
  Panels<T> delta_[2], target_, row_weights_;
  Arena<T> values_, gradients_, row_buffer_, few_values_;
  Arena<const T*> rows_, few_pointers_;
  std::vector<FewRows<T>> few_a_, few_z_;
  FewRows<T> few_delta_[2];
  std::vector<SmallLayer<T>> small_;
  mutable CallList<T> forward_, backward_, update_;
  Arena<std::int32_t> labels_;
  Arena<Score> scores_;
};

}  // namespace retrograd
