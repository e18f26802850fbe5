// See batch.h.
#include "bindings/batch.h"

#include <algorithm>
#include <cmath>

namespace retrograd {

namespace {

// What NumPy makes of a list or a tuple, null where it makes nothing of it; anything else as it is.
py::handle as_array(const py::handle& given, py::object& made) {
  if (!PyList_CheckExact(given.ptr()) && !PyTuple_CheckExact(given.ptr())) return given;
  PyObject* array = Numpy::get().PyArray_FromAny_(given.ptr(), nullptr, 0, 0, Numpy::NPY_ARRAY_ENSUREARRAY_, nullptr);
  if (!array) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) throw py::error_already_set();  // Ctrl-C
    PyErr_Clear();
  }
  made = py::reinterpret_steal<py::object>(array);
  return made;
}

// The same for what is not read in place as it is.
template <class T>
py::handle make_plain(const py::handle& given, py::object& made) {
  const py::handle array = as_array(given, made);
  if (!array) return array;
  switch (plain_type(array)) {
    case Numpy::NPY_FLOAT_:
    case Numpy::NPY_DOUBLE_:
    case Numpy::NPY_UBYTE_:
      return array;
    case Numpy::NPY_BOOL_:
    case Numpy::NPY_BYTE_:
    case Numpy::NPY_SHORT_:
    case Numpy::NPY_USHORT_:
    case Numpy::NPY_INT_:
    case Numpy::NPY_UINT_:
    case Numpy::NPY_LONG_:
    case Numpy::NPY_ULONG_:
      return made = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(array);
    default:
      return {};
  }
}

}  // namespace

template <class T>
py::handle as_plain(const py::handle& given, py::object& made) {
  Source source;
  return source_of_array(given, source) ? given : make_plain<T>(given, made);
}

Index length_of(const py::handle& given) {
  if (PyList_CheckExact(given.ptr())) return PyList_GET_SIZE(given.ptr());
  if (PyTuple_CheckExact(given.ptr())) return PyTuple_GET_SIZE(given.ptr());
  if (plain_type(given) < 0) return 0;
  const auto* array = py::detail::array_proxy(given.ptr());
  return array->nd > 0 ? array->dimensions[0] : 0;
}

template <class T>
bool take_rows(const py::handle& given, const Network<T>& network, py::object& made, Rows& rows) {
  const py::handle plain = as_plain<T>(given, made);
  return plain && view_rows(plain, network.inputs(), rows) && rows.rows > 0 && all_finite(network.kernels(), rows);
}

template <class T>
Rows rows_as(const Rows& rows, std::vector<T>& buffer) {
  if (holds<T>(rows)) return rows;
  buffer.resize(static_cast<std::size_t>(rows.rows * rows.cols));
  const auto convert = [&](auto zero) {
    T* to = buffer.data();
    for (Index r = 0; r < rows.rows; ++r) {
      const auto* row = static_cast<const decltype(zero)*>(rows.row(r));
      for (Index c = 0; c < rows.cols; ++c) *to++ = static_cast<T>(row[c]);
    }
  };
  if (rows.source == Source::float32) convert(float{});
  if (rows.source == Source::float64) convert(double{});
  if (rows.source == Source::uint8) convert(std::uint8_t{});
  return {buffer.data(), rows.rows, rows.cols, rows.cols * static_cast<Index>(sizeof(T)), source_of<T>};
}

bool view_numbers(const py::handle& x, Index rows, Index cols, Rows& view) {
  if (!x) return false;
  const auto* array = py::detail::array_proxy(x.ptr());
  if (array->nd == 1 && cols == 1) {
    if (!source_of_array(x, view.source)) return false;
    view = {array->data, array->dimensions[0], 1, array->strides[0], view.source};
    if (!aligned(view)) return false;
  } else if (!view_rows(x, cols, view)) {
    return false;
  }
  return view.rows == rows;
}

namespace {

// Whether finite targets are such as the loss takes.
template <class T>
bool fit(TargetKind kind, const Rows& targets) {
  const auto each = [&](auto right) {
    for (Index r = 0; r < targets.rows; ++r) {
      const T* row = static_cast<const T*>(targets.row(r));
      if (!std::all_of(row, row + targets.cols, right)) return false;
    }
    return true;
  };
  switch (kind) {
    case TargetKind::numbers:
      return true;
    case TargetKind::counts:
      return each([](T v) { return v >= 0; });
    case TargetKind::shares:
      return each([](T v) { return v >= 0 && v <= 1; });
    case TargetKind::signs:
      return each([](T v) { return v == 1 || v == 0; }) || each([](T v) { return v == 1 || v == -1; });
    case TargetKind::labels:
      return false;
    case TargetKind::probabilities:
      for (Index r = 0; r < targets.rows; ++r) {
        const T* row = static_cast<const T*>(targets.row(r));
        double sum = 0;
        for (Index c = 0; c < targets.cols; ++c) {
          if (row[c] < 0) return false;
          sum += static_cast<double>(row[c]);
        }
        // The bound of the long form (_data/targets.py) is 1e-3; what is near it is left to that.
        if (!(std::abs(sum - 1) < 0.9e-3)) return false;
      }
      return true;
  }
  return false;
}

}  // namespace

template <class T>
QuickBatch<T>::QuickBatch(const py::handle& x, const py::handle& y, const py::handle& row_weights)
    : x_(x),
      y_(as_array(y, made_y_)),
      row_weights_(row_weights.is_none() ? row_weights : as_plain<T>(row_weights, made_row_weights_)) {}

template <class T>
bool QuickBatch<T>::take(const Network<T>& network, BatchBuffers<T>& buffers, Rows& rows, Targets& targets) {
  return take_rows(x_, network, made_x_, rows) && take_targets(network, buffers, rows.rows, targets);
}

template <class T>
bool QuickBatch<T>::take_targets(const Network<T>& network, BatchBuffers<T>& buffers, Index count, Targets& targets) {
  if (!y_ || !row_weights_) return false;
  if (!row_weights_.is_none() && !take_row_weights(count, buffers.row_weights, targets)) return false;
  if (network.picks_one() && copy_labels(y_, count, network.outputs(), buffers.labels)) {
    targets.labels = buffers.labels.data();
    return true;
  }
  if (network.targets() == TargetKind::labels) return false;
  if (!view_numbers(as_plain<T>(y_, made_y_), count, network.outputs(), targets.rows)) return false;
  if (!holds<T>(targets.rows)) targets.rows = rows_as(targets.rows, buffers.numbers);
  return all_finite(network.kernels(), targets.rows) && fit<T>(network.targets(), targets.rows);
}

// Weights that the long form might refuse, and those that are all 0, are left to it.
template <class T>
bool QuickBatch<T>::take_row_weights(Index count, std::vector<T>& buffer, Targets& targets) {
  if (!view_numbers(row_weights_, count, 1, targets.row_weights)) return false;
  targets.row_weights = rows_as(targets.row_weights, buffer);
  double sum = 0;
  for (Index r = 0; r < count; ++r) {
    const double w = static_cast<double>(row_weight<T>(targets, r));
    if (!(w >= 0)) return false;
    sum += w;
  }
  return sum > 0 && std::isfinite(sum);
}

template py::handle as_plain<float>(const py::handle&, py::object&);
template py::handle as_plain<double>(const py::handle&, py::object&);
template bool take_rows(const py::handle&, const Network<float>&, py::object&, Rows&);
template bool take_rows(const py::handle&, const Network<double>&, py::object&, Rows&);
template Rows rows_as(const Rows&, std::vector<float>&);
template Rows rows_as(const Rows&, std::vector<double>&);
template class QuickBatch<float>;
template class QuickBatch<double>;

}  // namespace retrograd
