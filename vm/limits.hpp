#pragma once

#include <cstddef>
#include <cstdint>

// Every bound of the VM, with its unit and its reason. A bound that decides whether a run fails is
// a function of logical content alone (never of sharing, addresses or residency), so that a fold of
// the journal meets it at the same instruction as the live run did.
namespace sluice::vm {

// Values.
// Nesting of one value, and of one JSON text: keeps every recursive walk within a small stack.
inline constexpr uint32_t kValueDepthMax = 64;
// Logical size of one value in bytes (Value::logical_bytes), the engine's payload limit.
inline constexpr uint32_t kValueBytesMax = 16U << 20;
// Members of one list or map.
inline constexpr uint32_t kValueCountMax = 1U << 20;

// JSON.
// Problems reported for one document; a document of nonsense must not make a megabyte of messages.
inline constexpr size_t kJsonProblemsMax = 20;

// One activation: everything a run does for one input until it waits or ends.
// Fuel units; most instructions cost 1, those that build values cost more by the bytes they build.
inline constexpr int64_t kActivationFuel = 5'000'000;
// A failure on its way to a handler: about what it costs to make one.
inline constexpr int64_t kFailureFuel = 100;
// Fuel of a `where` constraint or an ordering key, evaluated on a gateway's thread.
inline constexpr int64_t kEvaluationFuel = 200'000;
// Logical bytes that one unit of fuel buys when a value is built.
inline constexpr uint32_t kBytesPerFuel = 32;
// Logical bytes of a string, list or map that one unit of fuel pays when it grows: the worst case
// is a copy, and whether there is one must not decide.
inline constexpr uint32_t kGrownBytesPerFuel = 1024;

// What a thread keeps of the space in which it put texts together.
inline constexpr size_t kScratchBytesMax = size_t{1} << 20;

// A run.
inline constexpr uint32_t kFibersMax = 1024;         // alive at once in one run
inline constexpr uint32_t kCompensationsMax = 1000;  // registered at once in one run (language.md)
inline constexpr uint32_t kSnapshotBytesMax = 32U << 20;
inline constexpr uint32_t kSignalsMax = 64;            // queued at once in one run (language.md)
inline constexpr uint32_t kSignalBytesMax = 4U << 20;  // of all of them, as logical_bytes
inline constexpr uint32_t kStepPathBytesMax = 1000;    // `answer/hold/undo/release_credit#2`
inline constexpr uint32_t kStepKeyBytesMax = 512;      // an idempotency key handed to a worker
inline constexpr uint32_t kFailureTextBytesMax =
    4096;  // kind and message of a failure, cut at a code point
inline constexpr uint32_t kLogTextBytesMax = 4096;  // a line of `log`, cut likewise

// An artifact. Sections over these are refused with the name of the limit.
inline constexpr size_t kArtifactBytesMax = 16U << 20;
inline constexpr uint32_t kNameBytesMax = 256;
inline constexpr uint32_t kWhereBytesMax = 4096;  // text of a constraint
inline constexpr uint32_t kTypesMax = 65535;
inline constexpr uint32_t kRecordsMax = 65535;
inline constexpr uint32_t kFieldsMax = 1024;    // of one record or enum case
inline constexpr uint32_t kEnumCasesMax = 256;  // fits the x operand of make_enum
inline constexpr uint32_t kUpgradesMax = 1000;  // of one event
inline constexpr uint32_t kConstantsMax = 1U << 20;
inline constexpr uint32_t kFunctionsMax = 65535;  // fits a 16-bit operand
inline constexpr uint32_t kRegistersMax = 65535;
inline constexpr uint32_t kCodeMax = 1U << 20;  // instructions of one function
inline constexpr uint32_t kHandlersMax = 4096;  // of one function
inline constexpr uint64_t kRateMax = 1'000'000'000;  // of a rate and its burst
inline constexpr uint32_t kTableMax = 65535;    // events, topics, tasks, flows, step sites
inline constexpr uint32_t kCapturesMax = 255;   // values of a compensation closure (the x operand)
// Calls of pure functions inside each other; the call graph is acyclic, so this is known when
// verified.
inline constexpr uint32_t kCallDepthMax = 64;
// Registers of the deepest chain of calls.
inline constexpr uint32_t kStackRegistersMax = 1U << 17;
// Work of the verifier: (basic blocks x registers) of one function, in bits, so that a hostile
// function costs neither more memory nor more time than a large honest one.
inline constexpr uint64_t kDataflowBitsMax = 1U << 26;

}  // namespace sluice::vm
