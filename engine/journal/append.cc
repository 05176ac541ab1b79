#include "engine/journal/append.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::journal {

namespace {

// Columns of the composite types.
constexpr std::uint32_t kPartFields = 8;
constexpr std::uint32_t kRecordFields = 11;
constexpr std::uint32_t kDeliveryFields = 5;

}  // namespace

std::size_t Batch::open(core::PartitionId partition, std::uint64_t epoch, const Tip& before) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].partition == partition) return i;
  }
  BatchPart part;
  part.partition = partition;
  part.epoch = epoch;
  part.before = before;
  part.after = before;
  parts_.push_back(part);
  links_.emplace_back(before.chain);
  return parts_.size() - 1;
}

void Batch::add(std::size_t index, const core::Record& record, const core::Applied& applied) {
  BatchPart& part = parts_[index];
  if (records_ == 0) day_ = day_of(record.time);
  links_[index].add(record);
  part.after.seq = record.seq;
  part.after.day = day_;
  ++part.records;
  ++records_;
  record_rows_.begin(kRecordFields);
  record_rows_.int2(static_cast<std::int16_t>(part.partition));
  record_rows_.int8(static_cast<std::int64_t>(record.seq));
  record_rows_.time(record.time);
  record_rows_.int4(static_cast<std::int32_t>(static_cast<std::uint32_t>(record.kind) << 16 |
                                              static_cast<std::uint32_t>(record.verdict) << 12 |
                                              record.core));
  record_rows_.int4(static_cast<std::int32_t>(number(record.tenant)));
  record_rows_.id(applied.run);
  record_rows_.int8(static_cast<std::int64_t>(applied.run_prev));
  record_rows_.int2(static_cast<std::int16_t>(applied.cause_partition));
  record_rows_.int8(static_cast<std::int64_t>(applied.cause_seq));
  record_rows_.id(applied.correlation);
  record_rows_.bytes(record.body);
  record_rows_.end();
}

void Batch::deliver(std::size_t part, const core::Delivery& delivery, std::string_view body) {
  delivery_rows_.begin(kDeliveryFields);
  delivery_rows_.int2(static_cast<std::int16_t>(parts_[part].partition));
  delivery_rows_.int8(static_cast<std::int64_t>(delivery.client_number));
  delivery_rows_.int8(static_cast<std::int64_t>(delivery.offset));
  delivery_rows_.int8(static_cast<std::int64_t>(delivery.seq));
  delivery_rows_.bytes(body);
  delivery_rows_.end();
}

Tip Batch::close(std::size_t index, const Digest& digest) {
  BatchPart& part = parts_[index];
  part.after.chain = links_[index].finish();
  if (part.before.seq > 0 && part.before.day != day_) one_day_ = false;
  std::array<char, 32> bytes{};
  const auto effects = digest.effects.bytes();
  const auto state = digest.state.bytes();
  std::copy(effects.begin(), effects.end(), bytes.begin());
  std::copy(state.begin(), state.end(), bytes.begin() + 16);
  part_rows_.begin(kPartFields);
  part_rows_.int2(static_cast<std::int16_t>(part.partition));
  part_rows_.int8(static_cast<std::int64_t>(part.epoch));
  part_rows_.int8(static_cast<std::int64_t>(part.before.seq));
  part_rows_.int4(part.before.day);
  part_rows_.hash(part.before.chain);
  part_rows_.int8(static_cast<std::int64_t>(part.after.seq));
  part_rows_.hash(part.after.chain);
  part_rows_.bytes({bytes.data(), digest.has_state ? std::size_t{32} : std::size_t{16}});
  part_rows_.end();
  return part.after;
}

void Batch::seal() {
  sealed_ = true;
}

void Batch::clear() {
  parts_.clear();
  links_.clear();
  records_ = 0;
  day_ = 0;
  one_day_ = true;
  sealed_ = false;
  part_rows_.clear();
  record_rows_.clear();
  delivery_rows_.clear();
}

AppendForm Batch::form() const {
  if (!one_day_) return AppendForm::any;
  // A partition's first record has no tip to look for.
  if (records_ != 1 || parts_[0].before.seq == 0) return AppendForm::one_day;
  switch (delivery_rows_.count()) {
    case 0:
      return AppendForm::one_record;
    case 1:
      return AppendForm::one_delivery;
    default:
      return AppendForm::one_day;
  }
}

void Batch::Parameters::add(const char* bytes, int length) {
  values[count] = bytes;
  lengths[count] = length;
  formats[count] = 1;
  ++count;
}

Batch::Parameters Batch::parameters(const RowTypes& types) {
  Parameters out;
  const AppendForm batch_form = form();
  if (batch_form == AppendForm::one_record || batch_form == AppendForm::one_delivery) {
    const auto add = [&out](const char* bytes, int length) { out.add(bytes, length); };
    part_rows_.only_row(add);
    record_rows_.only_row(add);
    if (batch_form == AppendForm::one_delivery) delivery_rows_.only_row(add);
    return out;
  }
  for (const auto bytes : {part_rows_.finish(types.part), record_rows_.finish(types.record),
                           delivery_rows_.finish(types.delivery)}) {
    out.add(bytes.data(), static_cast<int>(bytes.size()));
  }
  return out;
}

std::string append_name(Day day, AppendForm form) {
  constexpr std::array<const char*, 4> suffix = {"_one", "_one_delivery", "", "_any"};
  return fmt::format("append_{}{}", day, suffix[static_cast<std::size_t>(form)]);
}

namespace {

// Parameters are the fields of part_row, record_row and delivery_row, one after the other.
std::string one_statement(Day day, bool delivery) {
  const std::string insert = fmt::format(
      "insert into journal_{0} (part, seq, day, at, kind, verdict, core, epoch, tenant, run,"
      " run_prev, cause_part, cause_seq, correlation, chain, digest, body)"
      " select $9::int2, $10::int8, {0}, $11::timestamptz, ($12::int4 >> 16)::int2,"
      "   ($12::int4 >> 12 & 15)::int2, ($12::int4 & 4095)::int2, $2::int8, $13::int4, $14::uuid,"
      "   $15::int8, $16::int2, $17::int8, $18::uuid, $7::bytea, $8::bytea, $19::bytea"
      " from partition p where p.part = $1::int2 and p.epoch = $2::int8 and $6::int8 = $10::int8"
      "   and exists (select from journal_{0} j where j.part = $1::int2 and j.seq = $3::int8"
      "     and j.day = $4::int4 and j.chain = $5::bytea)"
      " for share of p returning part",
      day);
  if (!delivery) return insert + ", clock_timestamp()";
  return fmt::format(
      "with ins as ({1}) insert into delivery_{0} (part, client, \"offset\", day, seq, body)"
      " select $20::int2, $21::int8, $22::int8, {0}, $23::int8, $24::bytea from ins"
      " returning part, clock_timestamp()",
      day, insert);
}

std::string many_statement(Day day, bool one_day) {
  const std::string leaf = fmt::format("journal_{}", day);
  return fmt::format(
      "with w as materialized (select * from unnest($1::part_row[])),"
      " own as materialized (select p.part from partition p join w on w.part = p.part"
      "   where p.epoch = w.epoch order by p.part for share of p),"
      " tip as materialized (select w.* from own join w on w.part = own.part"
      "   where w.prev = 0 or exists (select from {1} j where j.part = w.part"
      "     and j.seq = w.prev and j.day = w.prev_day and j.chain = w.prev_chain)),"
      " ins as (insert into {0} (part, seq, day, at, kind, verdict, core, epoch, tenant, run,"
      "   run_prev, cause_part, cause_seq, correlation, chain, digest, body)"
      "   select r.part, r.seq, {2}, r.at, (r.kinds >> 16)::int2, (r.kinds >> 12 & 15)::int2,"
      "     (r.kinds & 4095)::int2, tip.epoch, r.tenant, r.run, r.run_prev, r.cause_part,"
      "     r.cause_seq, r.correlation, case when r.seq = tip.last then tip.chain end,"
      "     case when r.seq = tip.last then tip.digest end, r.body"
      "   from unnest($2::record_row[]) r join tip on tip.part = r.part),"
      " del as (insert into delivery_{2} (part, client, \"offset\", day, seq, body)"
      "   select d.part, d.client, d.off, {2}, d.seq, d.body from unnest($3::delivery_row[]) d"
      "   join tip on tip.part = d.part)"
      " select part, clock_timestamp() from tip",
      leaf, one_day ? leaf : "journal", day);
}

}  // namespace

std::string append_statement(Day day, AppendForm form) {
  if (form == AppendForm::one_record || form == AppendForm::one_delivery) {
    return one_statement(day, form == AppendForm::one_delivery);
  }
  return many_statement(day, form == AppendForm::one_day);
}

}  // namespace sluice::journal
