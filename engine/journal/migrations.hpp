// Steps of the layout from one format to the next.
#pragma once

#include <span>

namespace sluice::journal {

struct Migration {
  int format;       // that the database has afterwards
  const char* sql;  // run in one transaction with the change of cluster.format
};

// Ascending, without gaps, the last is kFormat (schema.hpp).
std::span<const Migration> migrations();

}  // namespace sluice::journal
