// See gil.h.
#include "bindings/gil.h"

#include <sys/syscall.h>

namespace retrograd {

bool interpreter_ends() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() || !Py_IsInitialized();
#else
  return _Py_IsFinalizing() || !Py_IsInitialized();
#endif
}

static bool on_main_thread() { return static_cast<pid_t>(syscall(SYS_gettid)) == getpid(); }

PythonPoll::PythonPoll(py::object report, const Progress* progress)
    : report_(std::move(report)),
      progress_(progress),
      signals_(on_main_thread()),
      reported_(std::chrono::steady_clock::now()) {}

bool PythonPoll::ask() {
  look_out_.wait_if_over();
  const WithGil gil;
  return or_wait_for_the_end([this] { return ask_python(); });
}

bool PythonPoll::ask_python() {
  try {
    if (signals_ && PyErr_CheckSignals() != 0) throw py::error_already_set();
    const auto now = std::chrono::steady_clock::now();
    if (!report_.is_none() && now - reported_ >= std::chrono::milliseconds(100)) {
      reported_ = now;
      // Nothing on this stack holds a Python object that would have to be released if the thread ends here.
      PyObject* result =
          PyObject_CallFunction(report_.ptr(), "nd", static_cast<Py_ssize_t>(progress_->rows.load()), progress_->loss.load());
      if (!result) throw py::error_already_set();
      Py_DECREF(result);
    }
  } catch (py::error_already_set& error) {
    error_.emplace(std::move(error));
    return true;
  }
  return false;
}

}  // namespace retrograd
