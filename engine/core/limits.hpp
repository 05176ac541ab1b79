// Every bound of the core, with its unit and its reason. Those in `Limits` are configuration: they
// are looked at when a thing is admitted, never while applying, so nodes may differ in them. Those
// that are constants take part in `apply`: changing one is a change of the core's version.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/core/ids.hpp"

namespace sluice::core {

// The version of what `apply` does. A binary executes kCoreVersion and the one before it.
inline constexpr std::uint16_t kCoreVersion = 1;

struct Limits {
  // Live runs of one partition (some 2 KB each): beyond it, admission answers `busy`.
  std::uint32_t runs = 100'000;
  // Remembered idempotency keys (some 90 bytes each): beyond it `busy`; the window never shrinks.
  std::uint64_t dedupe_entries = 4'000'000;
  // Messages that are not acknowledged: beyond it, or beyond kOutboxMessagesMax, clients get
  // `busy`.
  std::uint64_t outbox_messages = 100'000;
  // What a `busy` tells the client to wait, ms.
  std::uint32_t busy_retry_ms = 500;
};

// An event's, start's or result's value as encode_value wrote it, bytes. Larger is `too_large`.
inline constexpr std::size_t kPayloadBytesMax = 16u << 20;
// An idempotency key, bytes.
inline constexpr std::size_t kIdBytesMax = 200;
// A correlation, bytes.
inline constexpr std::size_t kCorrelationBytesMax = 128;
// A client's name or an ordering key, bytes.
inline constexpr std::size_t kClientBytesMax = 512;
// A traceparent, bytes (the standard's is 55).
inline constexpr std::size_t kTraceparentBytesMax = 128;
// A failure's kind and message as a worker reports them, bytes; longer is cut on a code point by
// the gateway, refused by the core.
inline constexpr std::size_t kFailureKindBytesMax = 128;
inline constexpr std::size_t kFailureMessageBytesMax = 4096;

// Steps that a run may have open at once; a program that wants more fails with kind Fault. Bounds
// what one run can put into the dispatcher.
inline constexpr std::size_t kOpenStepsMax = 4096;
// Timers that a run may have open, or start, at once, likewise.
inline constexpr std::size_t kOpenTimersMax = 4096;
// The arguments of one task frame, or the data of one delivery, as JSON, bytes: beyond it the
// record is faulted, because no frame could carry it.
inline constexpr std::size_t kOutputBytesMax = 16u << 20;
// What one activation may ask for in all: commands, and the bytes of what is rendered of them. A
// program that wants more fails with kind Fault: one record must not hold up a partition, and its
// rows must fit into one append.
inline constexpr std::size_t kCommandsAtOnceMax = 10'000;
inline constexpr std::size_t kRenderedBytesMax = 32u << 20;
// Ended steps of a live run whose reports are still answered `settled` when they come again. Newest
// are kept; the hash over them is part of the run's state, so the number is not configuration.
inline constexpr std::size_t kRememberedStepsMax = 64;
// Messages, each from a run that the one before began, before the next that would begin a run is a
// dead letter.
inline constexpr std::uint32_t kHopsMax = 32;
// Messages that are not acknowledged (some 300 bytes each): while there are so many, a run that
// wants to publish or to start another waits. What must not wait (deliveries, ends, cancels) goes
// on.
inline constexpr std::uint64_t kOutboxMessagesMax = 10'000;
// Messages that one activation may send; a program that wants more fails with kind Fault.
inline constexpr std::size_t kSentAtOnceMax = 4096;
// Messages of one way that are sent again at once when nothing of it is acknowledged.
inline constexpr std::size_t kResentMessages = 256;

// Events of topics that a partition keeps for runs which subscribe to them later, their bytes, and
// how long: what a run told somebody may be answered before the run is at its `receive`.
inline constexpr std::size_t kKeptEventsMax = 1024;
inline constexpr std::uint64_t kKeptEventBytesMax = 1u << 20;
inline constexpr TimeUs kKeptEventsUs = 600'000'000;
// Pairs that one run may be subscribed to; a program that wants more fails with kind Fault.
inline constexpr std::size_t kSubscriptionsMax = 64;
// Events of topics by whose ids a run knows one that comes on two ways.
inline constexpr std::size_t kHeardEventsMax = 64;

// The time that `on failure` has, beyond the flow's own deadline.
inline constexpr TimeUs kOnFailureUs = 10'000'000;
// How long a start through the API is remembered by its idempotency key.
inline constexpr std::int64_t kStartDedupeMs = 24ll * 3600 * 1000;
// The furthest that a program's timer (sleep, deadline) may lie ahead: 100 years; longer is cut.
inline constexpr TimeUs kTimerUsMax = 100ll * 366 * 24 * 3600 * 1'000'000;
// The longest gap between two attempts, whatever a program or a worker says.
inline constexpr std::int64_t kBackoffMsMax = 24ll * 3600 * 1000;
// The steepest growth of gaps, in thousandths; keeps their product within 64 bits.
inline constexpr std::uint32_t kBackoffFactorMilliMax = 1'000'000;

// Entries of one slice of the dedupe table, and slices per window: a slice is closed when it is
// full or as old as a sixteenth of its window, and goes whole when its newest entry left the
// window.
inline constexpr std::size_t kDedupeSliceEntries = 4096;
inline constexpr unsigned kDedupeSlicesPerWindow = 16;
// Clients of one row of stored state: a delivery makes one such row dirty.
inline constexpr std::size_t kClientsPerRow = 256;

}  // namespace sluice::core
