// See arrays.h.
#include "bindings/arrays.h"

#include <algorithm>
#include <cstring>

namespace retrograd {

std::string shape_of(const py::array& x) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < x.ndim(); ++i) text += (i ? ", " : "") + std::to_string(x.shape(i));
  return text + ")";
}

int plain_type(const py::handle& x) {
  if (Py_TYPE(x.ptr()) != Numpy::get().PyArray_Type_) return -1;
  const auto* type = py::detail::array_descriptor_proxy(py::detail::array_proxy(x.ptr())->descr);
  constexpr char native = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';  // as dtype.newbyteorder() has it
  const char order = type->byteorder;
  return order == '=' || order == '|' || order == native ? type->type_num : -1;
}

// ---------------------------------------------------------------------------------------------- rows

bool source_of_array(const py::handle& x, Source& source) {
  switch (plain_type(x)) {
    case Numpy::NPY_FLOAT_:
      source = Source::float32;
      return true;
    case Numpy::NPY_DOUBLE_:
      source = Source::float64;
      return true;
    case Numpy::NPY_UBYTE_:
      source = Source::uint8;
      return true;
    default:
      return false;
  }
}

bool aligned(const Rows& rows) {
  const Index size = source_size(rows.source);
  return reinterpret_cast<std::uintptr_t>(rows.data) % static_cast<std::uintptr_t>(size) == 0 &&
         (rows.rows == 1 || rows.stride % size == 0);
}

bool view_rows(const py::handle& x, Index cols, Rows& rows) {
  if (!source_of_array(x, rows.source)) return false;
  const auto* array = py::detail::array_proxy(x.ptr());
  if (array->nd != 2 || array->dimensions[1] != cols) return false;
  rows = {array->data, array->dimensions[0], cols, array->strides[0], rows.source};
  if (rows.rows == 0 || cols == 0) return true;
  return (cols == 1 || array->strides[1] == source_size(rows.source)) && aligned(rows);
}

Rows rows_of(const py::array& x, Index cols, const char* what) {
  Rows rows;
  if (view_rows(x, cols, rows)) return rows;
  const int type = plain_type(x);
  if (type != Numpy::NPY_FLOAT_ && type != Numpy::NPY_DOUBLE_ && type != Numpy::NPY_UBYTE_) {
    throw py::type_error(std::string(what) + ": expected a float32, float64 or uint8 array, got " +
                         py::cast<std::string>(py::str(static_cast<py::object>(x.dtype()))));
  }
  if (x.ndim() != 2 || x.shape(1) != cols) {
    throw std::invalid_argument(std::string(what) + ": expected shape (rows, " + std::to_string(cols) + "), got " +
                                shape_of(x));
  }
  throw std::invalid_argument(std::string(what) + ": expected aligned, contiguous rows");
}

// ---------------------------------------------------------------------------------------------- targets

namespace {

// On unsigned numbers: the highest bit of the result is set where `number`, read as a signed one, is
// below 0 or above `largest`. Results can be joined by "or", so that loops over them have no early end
// and compilers make vectors of them.
template <class U>
constexpr U outside(U number, U largest) {
  return number | (largest - number);
}

// Copies labels to `buffer`, because what is used as an index must not change meanwhile. False:
// one of them is out of range.
template <class Label>
bool copy_labels(const char* from, Index rows, Index outputs, std::int32_t* buffer) {
  const auto largest = static_cast<std::uint64_t>(outputs - 1);
  std::uint64_t bad = 0;
  for (Index i = 0; i < rows; ++i) {
    Label label;
    std::memcpy(&label, from + i * static_cast<Index>(sizeof label), sizeof label);
    bad |= outside(static_cast<std::uint64_t>(static_cast<std::int64_t>(label)), largest);
    buffer[i] = static_cast<std::int32_t>(label);
  }
  return bad >> 63 == 0;
}

// Labels that lie side by side in a plain array (rows,) of one of the types that labels mostly have.
struct PlainLabels {
  const char* data = nullptr;  // null: there are no such labels
  int type = -1;

  PlainLabels(const py::handle& y, Index rows) : type(plain_type(y)) {
    Index size = 0;
    switch (type) {
      case Numpy::NPY_UBYTE_:
        size = 1;
        break;
      case Numpy::NPY_INT_:
        size = static_cast<Index>(sizeof(int));
        break;
      case Numpy::NPY_LONG_:
        size = static_cast<Index>(sizeof(long));
        break;
      default:
        return;
    }
    const auto* array = py::detail::array_proxy(y.ptr());
    if (array->nd == 1 && array->dimensions[0] == rows && (rows <= 1 || array->strides[0] == size)) data = array->data;
  }
  bool copy(Index rows, Index outputs, std::int32_t* buffer) const {
    if (type == Numpy::NPY_UBYTE_) return copy_labels<std::uint8_t>(data, rows, outputs, buffer);
    if (type == Numpy::NPY_INT_) return copy_labels<int>(data, rows, outputs, buffer);
    return copy_labels<long>(data, rows, outputs, buffer);
  }
};

}  // namespace

py::object labels_of(const py::object& y, Index rows, Index outputs) {
  const PlainLabels labels(y, rows);
  if (!labels.data || outputs < 1) return py::none();
  py::array_t<std::int32_t> copy(rows);
  if (!labels.copy(rows, outputs, copy.mutable_data())) return py::none();
  return copy;
}

bool copy_labels(const py::handle& y, Index rows, Index outputs, std::vector<std::int32_t>& buffer) {
  const PlainLabels labels(y, rows);
  if (!labels.data || outputs < 1) return false;
  buffer.resize(static_cast<std::size_t>(rows));
  return labels.copy(rows, outputs, buffer.data());
}

template <class T>
Targets targets_of(const py::array& y, Index rows, Index outputs, const std::optional<py::array>& row_weights) {
  Targets targets;
  if (row_weights) {
    targets.row_weights = rows_of(*row_weights, 1, "sample_weight");
    if (targets.row_weights.source != source_of<T> || targets.row_weights.rows != rows) {
      throw std::invalid_argument("sample_weight: expected " + std::to_string(rows) + " of the network's dtype");
    }
  }
  if (py::isinstance<py::array_t<std::int32_t>>(y)) {
    if (y.ndim() != 1 || y.strides(0) != y.itemsize())
      throw std::invalid_argument("y: expected contiguous labels (rows,), got " + shape_of(y));
    targets.labels = static_cast<const std::int32_t*>(y.data());
    // Labels are indices into the outputs and never trusted.
    const auto largest = static_cast<std::uint32_t>(outputs - 1);
    std::uint32_t bad = 0;
    for (Index i = 0; i < y.shape(0); ++i) bad |= outside(static_cast<std::uint32_t>(targets.labels[i]), largest);
    if (bad >> 31 != 0) {
      const std::int32_t* label = targets.labels;
      while (*label >= 0 && *label < outputs) ++label;
      throw std::invalid_argument("y: label " + std::to_string(*label) + " is out of range");
    }
  } else {
    targets.rows = rows_of(y, outputs, "y");
  }
  if (y.shape(0) != rows) {
    throw std::invalid_argument("y: expected " + std::to_string(rows) + " rows, got " + std::to_string(y.shape(0)));
  }
  return targets;
}

// ---------------------------------------------------------------------------------------------- what goes back

namespace {

template <class T>
void copy_out(Panels<T> from, Index rows, Index cols, T* out) {
  for (Index p = 0; p < panels(cols); ++p) {
    for (Index r = 0; r < rows; ++r) std::copy_n(from.row(p, r), lanes_of(cols, p), out + r * cols + p * kLanes);
  }
}

template <class T>
void copy_in(const Rows& from, Panels<T> to) {
  for (Index p = 0; p < panels(from.cols); ++p) {
    for (Index r = 0; r < from.rows; ++r) {
      std::copy_n(static_cast<const T*>(from.row(r)) + p * kLanes, lanes_of(from.cols, p), to.row(p, r));
    }
  }
}

}  // namespace

template <class T>
Array<T> unpack(Panels<T> from, Index rows, Index cols) {
  Array<T> out = empty<T>(rows, cols);
  T* o = out.mutable_data();
  const WithoutGil release;
  copy_out(from, rows, cols, o);
  return out;
}

template <class T>
Array<T> unpack_rows(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units) {
  Array<T> out = empty<T>(rows, units);
  T* o = out.mutable_data();
  const WithoutGil release;
  unpack_batch(kernels, from, rows, units, o);
  return out;
}

template <class T>
Array<T> unpack_parameter(const ParameterArray& array, T* base) {
  if (!array.vector()) return unpack(array.in(base), array.rows, array.cols);
  Array<T> out(array.cols);
  copy_out(array.in(base), 1, array.cols, out.mutable_data());
  return out;
}

template <class T>
void pack_parameter(const ParameterArray& array, const Array<T>& from, T* base) {
  const Index stride = array.cols * static_cast<Index>(sizeof(T));
  pack_parameter(array, Rows{from.data(), array.rows, array.cols, stride, source_of<T>}, base);
}

template <class T>
void pack_parameter(const ParameterArray& array, const Rows& from, T* base) {
  copy_in(from, array.in(base));
}

bool view_parameter(const ParameterArray& array, const py::handle& given, Rows& rows) {
  if (!array.vector()) return view_rows(given, array.cols, rows) && rows.rows == array.rows;
  if (!source_of_array(given, rows.source)) return false;
  const auto* proxy = py::detail::array_proxy(given.ptr());
  const Index size = source_size(rows.source);
  if (proxy->nd != 1 || proxy->dimensions[0] != array.cols) return false;
  rows = {proxy->data, 1, array.cols, array.cols * size, rows.source};
  return (array.cols == 1 || proxy->strides[0] == size) && aligned(rows);
}

void check_shape(const ParameterArray& array, const py::array& given) {
  const bool fits = array.vector() ? given.ndim() == 1 && given.shape(0) == array.cols
                                   : given.ndim() == 2 && given.shape(0) == array.rows && given.shape(1) == array.cols;
  if (fits) return;
  const std::string cols = std::to_string(array.cols);
  throw std::invalid_argument(
      std::string(name_of(array.kind)) + " of layer " + std::to_string(array.layer) + ": expected shape (" +
      (array.vector() ? cols + ",)" : std::to_string(array.rows) + ", " + cols + ")") + ", got " + shape_of(given));
}

#define RG_INSTANTIATE(T)                                                                          \
  template Targets targets_of<T>(const py::array&, Index, Index, const std::optional<py::array>&); \
  template Array<T> unpack(Panels<T>, Index, Index);                                               \
  template Array<T> unpack_rows(const Kernels<T>&, Panels<T>, Index, Index);                       \
  template Array<T> unpack_parameter(const ParameterArray&, T*);                                   \
  template void pack_parameter(const ParameterArray&, const Array<T>&, T*);                        \
  template void pack_parameter(const ParameterArray&, const Rows&, T*);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
