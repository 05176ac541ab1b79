// The append: one batch of records and deliveries of several partitions, in one prepared statement
// and one round trip, fenced per partition.
//
// The statement names per partition the epoch under which it is owned and its tip (seq, day,
// chain). It locks the partitions' rows FOR SHARE in order of partition, keeps those whose epoch
// and tip hold, inserts what belongs to them, and returns them with the database's clock. A
// partition that is not returned has lost its ownership or its tail; the others are untouched. No
// row is updated, so a forgotten snapshot elsewhere costs nothing.
//
// A batch of one record with at most one delivery has statements of its own that do the same with
// scalar parameters: starting the general one costs PostgreSQL more than the insert, and while
// little is under way each record is such a batch.
//
// A sealed batch is immutable: after a lost connection it is resent as the same bytes, until it is
// in or its partitions are gone (append_session.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/partition.hpp"
#include "engine/core/record.hpp"
#include "engine/journal/schema.hpp"
#include "engine/journal/wire.hpp"

namespace sluice::journal {

// The last record of a partition's journal; all zero: it is empty.
struct Tip {
  core::Seq seq = 0;
  Day day = 0;
  core::Hash128 chain;

  friend bool operator==(const Tip&, const Tip&) = default;
};

// What is hashed into column `digest`: 16 bytes of the effects' digest, or those and 16 of the
// state's hash.
struct Digest {
  core::Hash128 effects;
  bool has_state = false;
  core::Hash128 state;
};

// One part of a batch: the records of one partition.
struct BatchPart {
  core::PartitionId partition{};
  std::uint64_t epoch = 0;
  Tip before;
  Tip after;  // valid once sealed
  std::uint32_t records = 0;
};

// Which statement a batch needs, besides its day.
enum class AppendForm : std::uint8_t {
  one_record,    // one record, its tip of the same day
  one_delivery,  // that and the only delivery
  one_day,       // any records, every tip of the same day
  any
};

// Object ids of the composite types that the statement's parameters are arrays of (migrations.cc).
struct RowTypes {
  std::uint32_t part = 0;
  std::uint32_t record = 0;
  std::uint32_t delivery = 0;
};

// Not thread-safe. Built record by record while they are applied, sealed once, sent once or more,
// cleared. All memory is kept.
class Batch {
 public:
  bool empty() const { return records_ == 0; }
  bool sealed() const { return sealed_; }
  std::size_t records() const { return records_; }
  std::size_t deliveries() const { return delivery_rows_.count(); }
  std::size_t bytes() const { return record_rows_.size() + delivery_rows_.size(); }
  // All records of a batch are of one day: they go to one leaf. 0 while it is empty.
  Day day() const { return day_; }
  // REQUIRES: sealed.
  AppendForm form() const;

  // Index of the partition's part, opened at its first record. `before` counts only then.
  std::size_t open(core::PartitionId partition, std::uint64_t epoch, const Tip& before);
  // REQUIRES: not sealed; record.seq follows the part's last; day_of(record.time) is day(), or the
  // batch is empty.
  void add(std::size_t part, const core::Record& record, const core::Applied& applied);
  // A delivery that a record of this batch made. `body` is encode_delivery's.
  void deliver(std::size_t part, const core::Delivery& delivery, std::string_view body);
  // Ends the part: no more records of it. Gives its new tip.
  Tip close(std::size_t part, const Digest& digest);
  // REQUIRES: every part is closed.
  void seal();
  void clear();

  const std::vector<BatchPart>& parts() const { return parts_; }

  // The parameters of form()'s statement in its order, as binary. REQUIRES: sealed.
  static constexpr int kParametersMax = 24;
  struct Parameters {
    int count = 0;
    std::array<const char*, kParametersMax> values;
    std::array<int, kParametersMax> lengths;
    std::array<int, kParametersMax> formats;
    void add(const char* bytes, int length);
  };
  Parameters parameters(const RowTypes& types);

 private:
  std::vector<BatchPart> parts_;
  std::vector<core::ChainLink> links_;
  std::size_t records_ = 0;
  Day day_ = 0;
  bool one_day_ = true;
  bool sealed_ = false;

  RowArray part_rows_;
  RowArray record_rows_;
  RowArray delivery_rows_;
};

// Text of the append for the leaf of `day`.
std::string append_statement(Day day, AppendForm form);
// Its name on a connection.
std::string append_name(Day day, AppendForm form);

}  // namespace sluice::journal
