// Every kernel of the core's table once more: one number at a time, as its contract says it, without
// regard to speed. It is a table of the same struct, so that a test makes the same call twice and
// compares. It is not meant to run anything else.
//
// It was written from the comments of kernels/table.h, and only what a contract promises is there: the
// first `lanes` lanes of the named rows, of one panel at a time (group = 1). The parts are in
// support/oracle/, a file for each family of kernels.
#pragma once

#include "kernels/dispatch.h"

namespace retrograd::testing {

// The oracle that a table must agree with to the last bit.
template <class T>
const Kernels<T>& oracle_of(const KernelTable& table);

}  // namespace retrograd::testing
