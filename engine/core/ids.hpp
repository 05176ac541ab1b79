// Identities of the engine. Each is its own type, so that no two can be taken for one another.
//
// Partitioning is part of the stored format: a run's partition is computed from its id, a key's
// from its hash under a key that never changes. The number of partitions is fixed when the database
// is initialised.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::core {

// Position of a record in its partition's journal, from 1, without gaps. 0: none.
using Seq = std::uint64_t;

// Microseconds since 1970 UTC by the database's clock (record time). 0: none.
using TimeUs = std::int64_t;

inline constexpr TimeUs kUsPerMs = 1000;

// From 0. At most kPartitionsMax, because a run's id has twelve bits for it.
enum class PartitionId : std::uint16_t {};
inline constexpr unsigned kPartitionsMax = 1024;
constexpr unsigned number(PartitionId id) {
  return static_cast<unsigned>(id);
}

// A tenant's number, given by the shell once and for ever (a table of the database): the core never
// sees a tenant's name. From 1; 0: none.
enum class TenantId : std::uint32_t {};
constexpr std::uint32_t number(TenantId id) {
  return static_cast<std::uint32_t>(id);
}

// A connected worker, unique within the process for ever. 0: none.
enum class WorkerId : std::uint64_t {};
constexpr std::uint64_t number(WorkerId id) {
  return static_cast<std::uint64_t>(id);
}

// A deployment's number, from 1 in the order of deployment, the same in all partitions. 0: none.
using DeploymentNumber = std::uint32_t;

// Number of a client within its home partition, from 1; the key of its delivery rows.
using ClientNumber = std::uint64_t;

// One step of a run, as the VM numbers them from 1. Never reused within the run.
using StepNumber = std::uint32_t;

// Sixteen bytes in the order in which they are written.
struct Id128 {
  std::array<std::uint8_t, 16> bytes{};

  bool is_nil() const { return *this == Id128{}; }
  friend bool operator==(const Id128& a, const Id128& b) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), 16) == 0;
  }
  friend std::strong_ordering operator<=>(const Id128& a, const Id128& b) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), 16) <=> 0;
  }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), 16}; }
};

// A UUIDv7: 48 bits of record time in ms, then 12 bits (`rand_a`) that hold the partition, then 62
// bits of hash(partition, seq, index). So ids sort by time, and an id alone tells where its run
// lives.
struct RunId : Id128 {};

// Likewise; names the event (or start, cancel …) that a record took in: index 0 of that record.
struct EventId : Id128 {};

// Key of a row of stored state (checkpoint): a run's id, or a slice of the partition's tables
// (partition.hpp `RowKind`).
struct RowId : Id128 {};

RunId make_run_id(PartitionId partition, Seq seq, TimeUs time, unsigned index);
// Of a run that lives in another partition than the record that starts it.
RunId make_run_id_at(PartitionId home, PartitionId source, Seq seq, TimeUs time, unsigned index);
// Of a run that a record of `source` starts in `destination`; `index` among those of the record.
RunId make_started_id(PartitionId source, PartitionId destination, Seq seq, TimeUs time,
                      unsigned index);
EventId make_event_id(PartitionId partition, Seq seq, TimeUs time);

// Where the run lives. Total: a made-up id yields some number, perhaps one beyond the partitions.
PartitionId partition_of(const RunId& run);

// 36 characters, lower case with dashes.
std::string to_text(const Id128& id);
// Only that form (upper case is understood); nothing else is an id.
std::optional<Id128> parse_id(std::string_view text);
std::optional<RunId> parse_run_id(std::string_view text);

// The name of a record in `causation`: an event's, start's or cancel's is its id, any other's is
// "PARTITION-SEQ".
std::string record_name(PartitionId partition, Seq seq);

// A group of `notify … to group` has a log of its own, numbered as a client's deliveries are, under
// a name that no client can have.
std::string group_client(std::string_view group);
// The group's name; nothing: it is a client.
std::optional<std::string_view> group_of(std::string_view client);

// Home of a client: its deliveries are numbered there, and a topic ordered by client sends its
// events there. REQUIRES: partitions > 0.
PartitionId partition_of_client(TenantId tenant, std::string_view client, unsigned partitions);
// Home of any other ordering key (the key function's value as encode_value wrote it).
PartitionId partition_of_key(TenantId tenant, std::string_view key, unsigned partitions);

// The one partition that starts a scheduled flow.
PartitionId partition_of_schedule(std::string_view flow, unsigned partitions);

struct IdHash {
  std::size_t operator()(const Id128& id) const {
    std::uint64_t low;  // the hashed half of an id, so this is spread already
    std::memcpy(&low, id.bytes.data() + 8, 8);
    return static_cast<std::size_t>(low);
  }
};

}  // namespace sluice::core
