// Every kernel of the core's table once more: one number at a time, as its contract says it, with no thought of speed. A table
// of the same struct, so that a test makes the same call twice and compares. Not an implementation to run anything with.
//
// Only what a contract promises is written: the first `lanes` lanes of the named rows, of one panel at a time (group = 1).
// Written from the comments of kernels/table.h. The parts lie in support/oracle/, a file for each family of kernels.
#pragma once

#include "kernels/dispatch.h"

namespace retrograd::testing {

// The oracle that a table must agree with to the last bit.
template <class T>
const Kernels<T>& oracle_of(const KernelTable& table);

}  // namespace retrograd::testing
