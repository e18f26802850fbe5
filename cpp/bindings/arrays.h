// NumPy's arrays as the core takes them, and the core's panels as NumPy's arrays. Of a network, only
// its facts and its table of arrays are asked here; nothing is computed with it.
//
// Many questions come in two forms. The long form takes what the Python layer has coerced, and throws
// an error that says what is wrong. The quick form is asked first, with whatever the user gave. Within
// a microsecond it takes a plain array that fits as it is (batch.h: and a list), and says no (false, or None) to everything
// else, right or wrong; the caller then takes the long form.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "bindings/gil.h"
#include "network/inference.h"

namespace retrograd {

using Numpy = py::detail::npy_api;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

std::string shape_of(const py::array& x);

// NumPy's number of the type that a plain array holds in native byte order; -1 for
// anything else, subclasses included.
int plain_type(const py::handle& x);

// ---------------------------------------------------------------------------------------------- rows

// The kind of numbers in a plain array; false where it is none that is read in place.
bool source_of_array(const py::handle& x, Source& source);

// Whether each row begins where a number of its kind may.
bool aligned(const Rows& rows);

// Quick form: a view of a 2-D array (rows, cols) whose rows are contiguous and aligned.
bool view_rows(const py::handle& x, Index cols, Rows& rows);

// Long form of the same.
Rows rows_of(const py::array& x, Index cols, const char* what);

// ---------------------------------------------------------------------------------------------- targets

// Quick form: a copy of labels as the core takes them, if they are right and come in a plain array; else None.
py::object labels_of(const py::object& y, Index rows, Index outputs);

// Quick form: the same into a buffer; false where they are not right or not plain.
bool copy_labels(const py::handle& y, Index rows, Index outputs, std::vector<std::int32_t>& buffer);

// Long form: int32 labels, one for each row, or rows of outputs; and None or row weights of type T, (rows, 1).
template <class T>
Targets targets_of(const py::array& y, Index rows, Index outputs, const std::optional<py::array>& row_weights);

// ---------------------------------------------------------------------------------------------- what goes back

template <class T>
Array<T> empty(Index rows, Index cols) {
  return Array<T>(std::vector<py::ssize_t>{rows, cols});
}

// The same copy, which cannot be written to: a change of it would look like a change of the network, and be none.
template <class T>
Array<T> read_only(Array<T> copy) {
  py::detail::array_proxy(copy.ptr())->flags &= ~Numpy::NPY_ARRAY_WRITEABLE_;
  return copy;
}

// A [rows][cols] array from panels whose lanes are columns (weights, gradients, transposed deltas).
template <class T>
Array<T> unpack(Panels<T> from, Index rows, Index cols);

// A [rows][units] array from panels whose lanes are rows of a batch.
template <class T>
Array<T> unpack_rows(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units);

// Reads an array of a network's table, (fan_in, fan_out) or (fan_out,), from an arena that begins at `base`.
template <class T>
Array<T> unpack_parameter(const ParameterArray& array, T* base);

// Writes such an array into the arena.
template <class T>
void pack_parameter(const ParameterArray& array, const Array<T>& from, T* base);

// The same from rows of T; a vector is one row.
template <class T>
void pack_parameter(const ParameterArray& array, const Rows& from, T* base);

// Quick form: a view of a plain array of that shape.
bool view_parameter(const ParameterArray& array, const py::handle& given, Rows& rows);

// Throws std::invalid_argument where the shape of `given` is not that of the array.
void check_shape(const ParameterArray& array, const py::array& given);

}  // namespace retrograd
