#include "tests/dispatch/action_text.hpp"

#include <fmt/format.h>

namespace sluice::dispatch {

AttemptKey key_of(unsigned number, unsigned partition) {
  AttemptKey key;
  key.partition = core::PartitionId{static_cast<std::uint16_t>(partition)};
  key.run.bytes[15] = static_cast<std::uint8_t>(number);
  key.run.bytes[14] = static_cast<std::uint8_t>(number >> 8);
  key.step = number;
  key.attempt = 1;
  return key;
}

namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

std::string to_text(const Action& action) {
  return std::visit(
      Overloaded{
          [](const HandOut& a) {
            return fmt::format("hand w{} a{} n{} lease {} deadline {}", core::number(a.worker),
                               a.offer->key.step, a.nonce, a.lease_ms, a.deadline_ms);
          },
          [](const RequestGrant& a) { return fmt::format("grant a{}", a.key.step); },
          [](const CancelTask& a) {
            return fmt::format("cancel w{} a{} n{} {}", core::number(a.worker), a.key.step, a.nonce,
                               a.why);
          },
          [](const Lapse& a) {
            return fmt::format("lapse a{} {}", a.key.step,
                               a.reason == LapseReason::lost     ? "lost"
                               : a.reason == LapseReason::queued ? "queued"
                                                                 : "timed_out");
          },
          [](const StaleLease& a) {
            return fmt::format("stale w{} a{} n{}", core::number(a.worker), a.key.step, a.nonce);
          },
      },
      action);
}

std::string to_text(const Actions& actions) {
  std::string text;
  for (const Action& action : actions) {
    if (!text.empty()) text += "; ";
    text += to_text(action);
  }
  return text;
}

}  // namespace sluice::dispatch
