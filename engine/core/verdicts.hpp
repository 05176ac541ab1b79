// What a record's verdict says, for the handlers of records.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "engine/core/partition.hpp"

namespace sluice::core {

inline tl::unexpected<ApplyError> refuse(ApplyError::Code code, std::string message) {
  return tl::unexpected(ApplyError{code, std::move(message)});
}

inline tl::unexpected<ApplyError> bad_body(const Record& record) {
  return refuse(ApplyError::Code::bad_body, "the body of record " + std::to_string(record.seq) +
                                                " is no " + std::string(kind_name(record.kind)));
}

// What a verdict that came with the record says of it; empty: it is to be worked on.
inline std::string given_fault(const Record& record) {
  if (is_sound(record.verdict)) return {};
  return "the record is " + std::string(verdict_name(record.verdict));
}

// The verdict to be journaled: the one given, or else that the work faulted now.
inline Verdict verdict_of(const Record& record) {
  return is_sound(record.verdict) ? Verdict::faulted : record.verdict;
}

// What those outside are told. It follows from the verdict alone, for the fold knows no more; the
// reason is for the log.
inline std::string public_reason(const Record& record) {
  return "record " + std::to_string(record.seq) + " is " +
         std::string(verdict_name(verdict_of(record)));
}

}  // namespace sluice::core
