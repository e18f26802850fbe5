// The quick way in for a batch: rows, targets and weights of rows, as a user gives them (arrays.h says what a quick form
// is). It takes plain arrays, and lists as NumPy makes arrays of them. The long forms, and every error, are elsewhere:
// in Python's retrograd/_data.
#pragma once

#include <vector>

#include "bindings/arrays.h"

namespace retrograd {

// What a user gives as an array whose numbers can be read in place: the thing itself where it is one; for lists and tuples what
// NumPy makes of them; integers and bools as T. `made` keeps what had to be made. Null where it is anything else.
template <class T>
py::handle as_plain(const py::handle& given, py::object& made);

// How many rows a thing seems to have: the length of a list, a tuple or an array, else 0. It makes nothing.
Index length_of(const py::handle& given);

// Whether a thing is rows that fit the network, at least one, and finite; they are written to `rows` then. `made` as above.
template <class T>
bool take_rows(const py::handle& given, const Network<T>& network, py::object& made, Rows& rows);

// The same rows with numbers of type T: themselves where they hold T, else converted into `buffer`.
template <class T>
Rows rows_as(const Rows& rows, std::vector<T>& buffer);

// A view of `rows` rows of `cols` numbers in a plain array, or in null; with one column the array may be (rows,).
bool view_numbers(const py::handle& x, Index rows, Index cols, Rows& view);

// Copies of what a batch must not share with the user, or cannot read in place. The batch points into them.
template <class T>
struct BatchBuffers {
  std::vector<std::int32_t> labels;
  std::vector<T> numbers;
  std::vector<T> row_weights;
};

template <class T>
class QuickBatch {
 public:
  // Takes hold of arrays, which must outlive it. `row_weights` may be None. Making arrays of lists may run Python.
  QuickBatch(const py::handle& x, const py::handle& y, const py::handle& row_weights);

  // Whether they fit the network and are finite; they are written to `rows` and `targets` then.
  bool take(const Network<T>& network, BatchBuffers<T>& buffers, Rows& rows, Targets& targets);
  // The same without rows: for a batch of `count` rows that a pass has seen already.
  bool take_targets(const Network<T>& network, BatchBuffers<T>& buffers, Index count, Targets& targets);

 private:
  bool take_row_weights(Index count, std::vector<T>& buffer, Targets& targets);

  py::handle x_;
  py::object made_x_, made_y_, made_row_weights_;
  py::handle y_, row_weights_;
};

}  // namespace retrograd
