// Kinds by their names, as base/kinds.h has them.
#pragma once

#include <stdexcept>
#include <string>

#include "base/kinds.h"

namespace retrograd {

// The kind of that name, or std::invalid_argument that lists the names there are.
template <class Facts, std::size_t N>
auto kind_named(const Facts (&table)[N], const std::string& name, const char* what) {
  std::string known;
  for (const Facts& facts : table) {
    if (name == facts.name) return facts.kind;
    known += (known.empty() ? "" : ", ") + std::string(facts.name);
  }
  throw std::invalid_argument("unknown " + std::string(what) + " '" + name + "'; expected one of: " + known);
}

}  // namespace retrograd
