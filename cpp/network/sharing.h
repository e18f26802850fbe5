// How a team shares a batch: which parts of it run at the same time, phase by phase (plan.h names
// the splits). Every split gives the same bits. What is done with a part is in passes.h; who does it is in machine/team.h.
#pragma once

#include "machine/team.h"
#include "network/passes.h"

namespace retrograd {

// Who works on a batch, and how.
struct Sharing {
  Team& team;
  Interrupt& interrupt;
  Split split = Split::rows;
  const PhaseClock* clocks = nullptr;  // one for each member, or null
};

// What tells the deltas of the last layer for a part of the rows.
template <class T>
struct Seed {
  void (*put)(void* context, const Pass<T>& pass, const Part& rows) = nullptr;
  void* context = nullptr;
};

// Loads the inputs and computes a (and z) of every layer, by rows or by units. False: interrupted.
template <class T>
bool shared_forward(const Pass<T>& pass, const Sharing& sharing, const Rows& x, Selection selection);

// Computes the deltas of every layer from those of the last one, which `seed` writes. False: interrupted.
template <class T>
bool shared_backward(const Pass<T>& pass, const Sharing& sharing, const Seed<T>& seed);

// Both one after the other, with the loss of the batch, divided by `divisor`, and its scores. False: interrupted.
template <class T>
bool shared_passes(const Pass<T>& pass, const Sharing& sharing, const Rows& x, const Targets& y, Selection selection,
                   double divisor);

// Computes dw and db of every layer, and updates if the sink says so.
template <class T>
void shared_gradients(const Pass<T>& pass, const Sharing& sharing, const GradientSink<T>& sink);

}  // namespace retrograd
