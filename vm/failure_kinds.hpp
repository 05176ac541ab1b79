#pragma once

#include <string_view>

// Kinds of failure that the language and the engine know; flows and tasks declare more.
namespace sluice::vm::failure_kind {

inline constexpr std::string_view kTimedOut = "TimedOut";
inline constexpr std::string_view kLost = "Lost";
inline constexpr std::string_view kUnavailable = "Unavailable";
inline constexpr std::string_view kBusy = "Busy";
inline constexpr std::string_view kRejected = "Rejected";
inline constexpr std::string_view kInvalid = "Invalid";
inline constexpr std::string_view kFault = "Fault";
inline constexpr std::string_view kOverflow = "Overflow";
inline constexpr std::string_view kCancelled = "Cancelled";
inline constexpr std::string_view kSuperseded = "Superseded";

inline constexpr std::string_view kAll[] = {kTimedOut,  kLost,      kUnavailable, kBusy,
                                            kRejected,  kInvalid,   kFault,       kOverflow,
                                            kCancelled, kSuperseded};

}  // namespace sluice::vm::failure_kind
