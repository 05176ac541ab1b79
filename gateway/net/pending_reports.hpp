// Reports of one worker's socket that are under way: which lease an answer is about, and what
// becomes of a report that the engine refuses. None of them ends the socket. Pure; not thread-safe.
//
// While its partition is not served (folded, halted, changing its owner) a report waits here and is
// made again, ever less often. Whatever else is wrong with one is the attempt's failure `Invalid`.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/node/requests.hpp"

namespace sluice::gateway {

// A text cut to what the engine takes as a failure's message, not in the middle of a character.
std::string cut_message(std::string text);

class PendingReports {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Its number, the token of the answer; nothing: more are under way than a socket may have.
  std::optional<std::uint64_t> add(std::string_view lease, const node::ReportRequest& request);
  // The answer has come; the lease. "" for a number that is none.
  std::string release(std::uint64_t token);

  enum class Then : std::uint8_t {
    kAgain,   // make it again at once: next() has it
    kWait,    // it will be due
    kStale,   // it can never be taken: release it and tell the worker so
    kForget,  // it was not kept: release it; the lease runs out
  };
  Then refused(std::uint64_t token, const node::Refusal& refusal, Time now);
  // Those whose time has come, each once.
  std::vector<std::uint64_t> due(Time now);
  // The request to make. REQUIRES: refused() said kAgain, or it was due.
  node::ReportRequest next(std::uint64_t token) const { return *places_[token].request; }

 private:
  struct Place {
    std::string lease;
    std::optional<node::ReportRequest> request;
    std::size_t bytes = 0;
    std::chrono::milliseconds gap{0};
    Time at{};
    bool waits = false;
    bool replaced = false;  // by a failure
    bool taken = false;
  };
  std::vector<Place> places_;
  std::vector<std::uint64_t> free_;
  std::vector<std::uint64_t> waiting_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace sluice::gateway
