// Kinds by name: the tables are those of base/kinds.h.
#pragma once

#include <stdexcept>
#include <string>

#include "base/kinds.h"

namespace retrograd {

// The kind of that name; throws std::invalid_argument with a list of the names where there is none.
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
