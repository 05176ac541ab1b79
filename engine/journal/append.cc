#include "engine/journal/append.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::journal {

Batch::Batch()
    : part_(PgType::int2),
      epoch_(PgType::int8),
      prev_(PgType::int8),
      prev_day_(PgType::int4),
      prev_chain_(PgType::bytea),
      last_(PgType::int8),
      chain_(PgType::bytea),
      digest_(PgType::bytea),
      record_part_(PgType::int2),
      seq_(PgType::int8),
      at_(PgType::timestamptz),
      kinds_(PgType::int4),
      tenant_(PgType::int4),
      run_(PgType::uuid),
      run_prev_(PgType::int8),
      cause_part_(PgType::int2),
      cause_seq_(PgType::int8),
      correlation_(PgType::uuid),
      body_(PgType::bytea),
      delivery_part_(PgType::int2),
      client_(PgType::int8),
      offset_(PgType::int8),
      delivery_seq_(PgType::int8),
      delivery_body_(PgType::bytea) {}

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
  record_part_.add_int2(static_cast<std::int16_t>(part.partition));
  seq_.add_int8(static_cast<std::int64_t>(record.seq));
  at_.add_time(record.time);
  kinds_.add_int4(static_cast<std::int32_t>(static_cast<std::uint32_t>(record.kind) << 16 |
                                            static_cast<std::uint32_t>(record.verdict) << 12 |
                                            record.core));
  tenant_.add_int4(static_cast<std::int32_t>(number(record.tenant)));
  applied.run.is_nil() ? run_.add_null() : run_.add_id(applied.run);
  run_prev_.add_int8(static_cast<std::int64_t>(applied.run_prev));
  cause_part_.add_int2(static_cast<std::int16_t>(applied.cause_partition));
  cause_seq_.add_int8(static_cast<std::int64_t>(applied.cause_seq));
  applied.correlation.is_nil() ? correlation_.add_null() : correlation_.add_id(applied.correlation);
  body_.add_bytes(record.body);
}

void Batch::deliver(std::size_t part, const core::Delivery& delivery, std::string_view body) {
  delivery_part_.add_int2(static_cast<std::int16_t>(parts_[part].partition));
  client_.add_int8(static_cast<std::int64_t>(delivery.client_number));
  offset_.add_int8(static_cast<std::int64_t>(delivery.offset));
  delivery_seq_.add_int8(static_cast<std::int64_t>(delivery.seq));
  delivery_body_.add_bytes(body);
}

Tip Batch::close(std::size_t index, const Digest& digest) {
  BatchPart& part = parts_[index];
  part.after.chain = links_[index].finish();
  if (part.before.seq > 0 && part.before.day != day_) one_day_ = false;
  part_.add_int2(static_cast<std::int16_t>(part.partition));
  epoch_.add_int8(static_cast<std::int64_t>(part.epoch));
  prev_.add_int8(static_cast<std::int64_t>(part.before.seq));
  prev_day_.add_int4(part.before.day);
  prev_chain_.add_hash(part.before.chain);
  last_.add_int8(static_cast<std::int64_t>(part.after.seq));
  chain_.add_hash(part.after.chain);
  std::array<char, 32> bytes{};
  const auto effects = digest.effects.bytes();
  const auto state = digest.state.bytes();
  std::copy(effects.begin(), effects.end(), bytes.begin());
  std::copy(state.begin(), state.end(), bytes.begin() + 16);
  digest_.add_bytes({bytes.data(), digest.has_state ? std::size_t{32} : std::size_t{16}});
  return part.after;
}

void Batch::seal() {
  sealed_ = true;
  day_bytes_.clear();
  append_u32(day_bytes_, static_cast<std::uint32_t>(day_));
}

void Batch::clear() {
  parts_.clear();
  links_.clear();
  records_ = 0;
  day_ = 0;
  one_day_ = true;
  sealed_ = false;
  for (Column* column :
       {&part_,   &epoch_,         &prev_,        &prev_day_,   &prev_chain_,   &last_,
        &chain_,  &digest_,        &record_part_, &seq_,        &at_,           &kinds_,
        &tenant_, &run_,           &run_prev_,    &cause_part_, &cause_seq_,    &correlation_,
        &body_,   &delivery_part_, &client_,      &offset_,     &delivery_seq_, &delivery_body_}) {
    column->clear();
  }
}

Batch::Parameters Batch::parameters() {
  Parameters out;
  out.formats.fill(1);
  int i = 0;
  // In the order of append_statement's numbers; the day is part of its text.
  for (Column* column :
       {&part_,   &epoch_,         &prev_,        &prev_day_,   &prev_chain_,   &last_,
        &chain_,  &digest_,        &record_part_, &seq_,        &at_,           &kinds_,
        &tenant_, &run_,           &run_prev_,    &cause_part_, &cause_seq_,    &correlation_,
        &body_,   &delivery_part_, &client_,      &offset_,     &delivery_seq_, &delivery_body_}) {
    const std::string_view bytes = column->finish();
    out.values[i] = bytes.data();
    out.lengths[i] = static_cast<int>(bytes.size());
    ++i;
  }
  return out;
}

std::string append_name(Day day, bool one_day) {
  return fmt::format("append_{}{}", day, one_day ? "" : "_any");
}

std::string append_statement(Day day, bool one_day) {
  const std::string leaf = fmt::format("journal_{}", day);
  return fmt::format(
      "with w as materialized (select * from unnest($1::int2[], $2::int8[], $3::int8[], $4::int4[],"
      "   $5::bytea[], $6::int8[], $7::bytea[], $8::bytea[])"
      "   as t(part, epoch, prev, prev_day, prev_chain, last, chain, digest)),"
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
      "   from unnest($9::int2[], $10::int8[], $11::timestamptz[], $12::int4[], $13::int4[],"
      "     $14::uuid[], $15::int8[], $16::int2[], $17::int8[], $18::uuid[], $19::bytea[])"
      "     as r(part, seq, at, kinds, tenant, run, run_prev, cause_part, cause_seq, correlation,"
      "     body) join tip on tip.part = r.part),"
      " del as (insert into delivery_{2} (part, client, \"offset\", day, seq, body)"
      "   select d.part, d.client, d.off, {2}, d.seq, d.body from unnest($20::int2[], $21::int8[],"
      "     $22::int8[], $23::int8[], $24::bytea[]) as d(part, client, off, seq, body)"
      "   join tip on tip.part = d.part)"
      " select part, clock_timestamp() from tip",
      leaf, one_day ? leaf : "journal", day);
}

}  // namespace sluice::journal
