// The threads that share a call: its caller, and helpers who take pieces of what the caller offers.
//
// The caller alone decides what happens. It offers a phase, which is a number of pieces; it and its helpers
// claim pieces until none is left; the phase is over when all pieces are done. Nobody waits for a helper
// that is not there: a helper that the system has put aside, or that has not even started, holds nothing.
// Only a helper that is interrupted in the midst of a piece keeps the caller waiting, and the caller is told
// (was_late), so that it can go on alone.
//
// Each member begins with pieces of its own and then takes those that others have not begun. On a quiet
// machine member i therefore works on the same data in every step, which its core has in its cache.
//
// How many threads a call may have is not decided here but in parallel.h.
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include "machine/parallel.h"

namespace retrograd {

class Crew;

class Team {
 public:
  // The caller alone; or the caller and up to size - 1 helpers: fewer where OpenMP gives fewer, none where the system
  // has none.
  Team() : busy_(1) {}
  explicit Team(int size) : Team() { use(size); }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team();

  // The members that phases use.
  int size() const { return size_; }
  // From now on there are so many, if there can be; helpers who are not used stay at hand.
  void use(int size) {
    if (size != size_) change(size);
  }

  // Runs body(share, worker) once for each of `count` shares, and returns when all have run. worker is 0 for
  // the caller, and the number of the helper for another; it is below size(). The body must not throw.
  template <class F>
  void each(Index count, F&& body) {
    if (size_ == 1 || count <= 1 || forked()) {
      for (Share share{0, count}; share.id < count; ++share.id) body(static_cast<const Share&>(share), 0);
      return;
    }
    offer(
        count,
        [](void* context, const Share& share, int worker) {
          (*static_cast<std::remove_reference_t<F>*>(context))(share, worker);
        },
        static_cast<void*>(std::addressof(body)));
  }
  // The same with one share for each member.
  template <class F>
  void each(F&& body) {
    each(static_cast<Index>(size_), std::forward<F>(body));
  }

  // Whether, since this was last asked, the caller waited for a helper who was interrupted in the midst of a piece.
  bool was_late() { return std::exchange(late_, false); }

 private:
  bool forked() const { return since_ != forks(); }
  void change(int size);
  void hire(int helpers);
  void offer(Index count, void (*body)(void*, const Share&, int), void* context);

  std::shared_ptr<Crew> crew_;
  int size_ = 1;
  int helpers_ = 0;  // that the crew has
  int asked_ = 0;    // for how many it was asked
  bool late_ = false;
  std::uint32_t since_ = forks();
  Busy busy_;
};

}  // namespace retrograd
