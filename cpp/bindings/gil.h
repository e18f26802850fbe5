// The interpreter around a call: releasing the GIL and taking it back, Ctrl-C, progress, and the end of
// the interpreter, which daemon threads outlive. It knows no arrays and no networks.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "training/trainer.h"

namespace retrograd {

namespace py = pybind11;

// Runs a call that takes the GIL or runs Python. If the interpreter has ended, Python ends such a
// thread by unwinding its stack; our frames on it (destructors, a team's region) would turn that into
// an abort, so the thread waits for the end of the process instead.
//
// Such an unwinding carries no object: the reference is null, and UndefinedBehaviorSanitizer would
// complain. g++ makes one check of null and alignment, and reads the attribute again after inlining, so
// the check is only gone when both are switched off.
template <class F>
__attribute__((no_sanitize("null", "alignment"))) auto or_wait_for_the_end(F call) {
  try {
    return call();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();
  }
}

// Whether the interpreter is ending or has ended.
bool interpreter_ends();

// Made while the thread has the GIL, and asked before it takes the GIL again. Once the interpreter has
// ended there are no thread states any more: Python unwinds nothing then, and taking the GIL crashes,
// so the thread waits for the end of the process here. A thread that has the GIL while the interpreter
// ends is the one that ends it, and goes on.
class LookOut {
 public:
  LookOut() : ends_it_(interpreter_ends()) {}
  void wait_if_over() const {
    while (!ends_it_ && interpreter_ends()) pause();
  }

 private:
  bool ends_it_;
};

// Lets other Python threads run while it lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    look_out_.wait_if_over();
    or_wait_for_the_end([this] { PyEval_RestoreThread(state_); });
  }

 private:
  LookOut look_out_;  // made before the GIL is released
  PyThreadState* state_;
};

// Takes the GIL back within WithoutGil, on the thread that released it.
class WithGil {
 public:
  WithGil() : state_(or_wait_for_the_end(PyGILState_Ensure)) {}
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;
  ~WithGil() { PyGILState_Release(state_); }

 private:
  PyGILState_STATE state_;
};

// Looks for Ctrl-C (only on the main thread, where Python handles signals) and reports progress ten
// times a second. Where neither is wanted, it never takes the GIL.
class PythonPoll {
 public:
  explicit PythonPoll(py::object report = py::none(), const Progress* progress = nullptr);

  Poll poll() {
    if (!signals_ && report_.is_none()) return {};
    return {[](void* self) { return static_cast<PythonPoll*>(self)->ask(); }, this};
  }
  // Must be called with the GIL, after the core has returned.
  void raise_if_interrupted() {
    if (error_) throw py::error_already_set(std::move(*error_));
  }

 private:
  bool ask();
  bool ask_python();

  LookOut look_out_;
  py::object report_;
  const Progress* progress_;
  bool signals_;
  std::chrono::steady_clock::time_point reported_;
  std::optional<py::error_already_set> error_;
};

}  // namespace retrograd
