// The partition's tables against slow, obvious ones.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "engine/core/clients.hpp"
#include "engine/core/dedupe.hpp"
#include "engine/core/limits.hpp"
#include "engine/core/mailbox.hpp"

namespace sluice::core {
namespace {

DedupeEntry entry_of(std::uint64_t key, Seq seq, TimeUs time) {
  DedupeEntry entry;
  entry.key = dedupe_key(TenantId{1}, "topic", "client", "key", std::to_string(key));
  entry.seq = seq;
  entry.time = time;
  entry.runs = 1;
  if (key % 3 == 0) entry.correlation = "given";
  return entry;
}

TEST(Dedupe, KeysOfDifferentPartsDiffer) {
  const Hash128 base = dedupe_key(TenantId{1}, "ab", "c", "d", "e");
  EXPECT_NE(base, dedupe_key(TenantId{2}, "ab", "c", "d", "e"));
  EXPECT_NE(base, dedupe_key(TenantId{1}, "a", "bc", "d", "e"));
  EXPECT_NE(base, dedupe_key(TenantId{1}, "ab", "", "cd", "e"));
  EXPECT_NE(base, dedupe_key(TenantId{1}, "ab", "c", "", "de"));
  // Also of equal length.
  EXPECT_NE(base, dedupe_key(TenantId{1}, "AB", "c", "d", "e"));
  EXPECT_NE(base, dedupe_key(TenantId{1}, "ab", "C", "d", "e"));
  EXPECT_NE(base, dedupe_key(TenantId{1}, "ab", "c", "D", "e"));
  EXPECT_NE(base, dedupe_key(TenantId{1}, "ab", "c", "d", "E"));
}

// Random ids, windows and times against a map; the table is stored and loaded in between.
TEST(Dedupe, AgreesWithAMap) {
  EXPECT_TRUE(rc::check([](const std::vector<std::pair<std::uint8_t, std::uint16_t>>& steps) {
    DedupeTable table;
    std::map<std::uint8_t, std::pair<Seq, TimeUs>> known;  // until when
    TimeUs now = 1'000'000;
    Seq seq = 0;
    std::map<RowId, std::string> rows;
    for (const auto& [key, wait] : steps) {
      now += TimeUs{wait} * 10;
      const std::int64_t window_ms = key % 2 ? 400 : 100;
      const DedupeEntry* found = table.find(entry_of(key, 0, 0).key, now);
      const auto expected = known.find(key);
      const bool lives = expected != known.end() && expected->second.second > now;
      RC_ASSERT((found != nullptr) == lives);
      if (lives) {
        RC_ASSERT(found->seq == expected->second.first);
      } else {
        table.insert(entry_of(key, ++seq, now), window_ms);
        known[key] = {seq, now + window_ms * kUsPerMs};
      }
      table.expire(now);
      if (wait % 7 != 0) continue;
      for (auto& row : table.take_changed(false)) {
        if (row.body.empty())
          rows.erase(row.id);
        else
          rows[row.id] = row.body;
      }
      DedupeTable loaded;
      for (const auto& [id, body] : rows) RC_ASSERT(loaded.load(id, body));
      loaded.set_next_slice(table.next_slice());
      RC_ASSERT(loaded.hash() == table.hash());
      RC_ASSERT(loaded.size() == table.size());
      if (wait % 2 == 0) table = std::move(loaded);
    }
  }));
}

TEST(Dedupe, ManyEntriesGoWhenTheirWindowEnds) {
  DedupeTable table;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    table.insert(entry_of(i, i + 1, static_cast<TimeUs>(i) * 100), 1000);
  }
  EXPECT_EQ(table.size(), 20'000u);
  for (std::uint64_t i = 0; i < 20'000; i += 371) {
    EXPECT_EQ(table.find(entry_of(i, 0, 0).key, static_cast<TimeUs>(i) * 100)->seq, i + 1);
  }
  table.expire(2'000'000 + 1'000'000);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.hash(), Hash128{});
  EXPECT_EQ(table.find(entry_of(5, 0, 0).key, 0), nullptr);
}

TEST(Dedupe, AClosedSliceIsStoredOnce) {
  DedupeTable table;
  for (std::uint64_t i = 0; i < kDedupeSliceEntries + 1; ++i) {
    table.insert(entry_of(i, i + 1, 1000), 3'600'000);
  }
  EXPECT_EQ(table.take_changed(false).size(), 2u);
  table.insert(entry_of(999'999, 999'999, 1000), 3'600'000);
  EXPECT_EQ(table.take_changed(false).size(), 1u);
  EXPECT_EQ(table.take_changed(true).size(), 2u);
}

TEST(Dedupe, DamagedRowsAreRefused) {
  DedupeTable table;
  table.insert(entry_of(1, 1, 1000), 1000);
  const auto rows = table.take_changed(false);
  ASSERT_EQ(rows.size(), 1u);
  for (std::size_t cut = 0; cut < rows[0].body.size(); ++cut) {
    DedupeTable other;
    EXPECT_FALSE(other.load(rows[0].id, rows[0].body.substr(0, cut)));
  }
}

TEST(Clients, NumbersAndOffsetsCount) {
  ClientTable table;
  EXPECT_EQ(table.find(TenantId{1}, "ada"), 0u);
  EXPECT_EQ(table.number_of(TenantId{1}, "ada"), 1u);
  EXPECT_EQ(table.number_of(TenantId{2}, "ada"), 2u);
  EXPECT_EQ(table.number_of(TenantId{1}, "ada"), 1u);
  EXPECT_EQ(table.advance(1, 10), 1u);
  EXPECT_EQ(table.advance(1, 11), 2u);
  EXPECT_EQ(table.advance(2, 12), 1u);
  EXPECT_EQ(table[1].as_of, 11u);
}

TEST(Clients, RowsRestoreTheTable) {
  ClientTable table;
  std::map<RowId, std::string> rows;
  for (unsigned i = 0; i < 3 * kClientsPerRow; ++i) {
    table.advance(table.number_of(TenantId{i % 3}, "client" + std::to_string(i)), i);
    if (i % 100 == 0) {
      for (auto& row : table.take_changed(false)) rows[row.id] = row.body;
    }
  }
  table.advance(5, 1000);
  EXPECT_EQ(table.changed_rows(), 2u);
  for (auto& row : table.take_changed(false)) rows[row.id] = row.body;
  ClientTable loaded;
  for (const auto& [id, body] : rows) ASSERT_TRUE(loaded.load(id, body));
  EXPECT_EQ(loaded.hash(), table.hash());
  EXPECT_EQ(loaded[5].last_offset, table[5].last_offset);
  ClientTable hole;
  EXPECT_FALSE(hole.load(rows.rbegin()->first, rows.rbegin()->second));
}

TEST(Clients, RaisingGivesNumbersInOrderAndNeverLowersAnOffset) {
  ClientTable table;
  EXPECT_TRUE(table.raise(1, {TenantId{1}, "ann", 3, 10}));
  EXPECT_EQ(table.find(TenantId{1}, "ann"), 1u);
  EXPECT_EQ(table.advance(1, 11), 4u);
  EXPECT_TRUE(table.raise(1, {TenantId{1}, "ann", 2, 5}));
  EXPECT_EQ(table[1].last_offset, 4u);
  EXPECT_EQ(table[1].as_of, 11u);
  EXPECT_FALSE(table.raise(1, {TenantId{1}, "bob", 9, 12}));  // the number is ann's
  EXPECT_FALSE(table.raise(2, {TenantId{1}, "ann", 9, 12}));  // ann has another
  EXPECT_FALSE(table.raise(3, {TenantId{1}, "bob", 9, 12}));  // 2 is missing
  EXPECT_EQ(table.size(), 1u);
  const Hash128 before = table.hash();
  EXPECT_TRUE(table.raise(1, {TenantId{1}, "ann", 5, 12}));
  EXPECT_NE(table.hash(), before);
}

TEST(Departed, IsReadAsItWasWrittenAndOnlyWhole) {
  Departed departed;
  departed.clients = {{1, TenantId{7}, "ann", 12, 99}, {2, TenantId{7}, "", 1, 100}};
  departed.ways = {{PartitionId{3}, {8, {90, 90, 95}}}, {PartitionId{4}, {}}};
  const std::string bytes = encode(departed);
  const auto read = decode_departed(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(encode(*read), bytes);
  EXPECT_EQ(read->clients[0].name, "ann");
  EXPECT_EQ(read->ways[0].taken.causes, (std::vector<Seq>{90, 90, 95}));
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(decode_departed(bytes.substr(0, cut)).has_value()) << cut;
  }
  EXPECT_FALSE(decode_departed(bytes + "x").has_value());
}

// Numbers 1 and 2 were sent before the stretch, by records 10 and 20. In the stretch an owner of
// another state sent 3 to 5; the fold has its own 3 to 6.
TEST(Mailbox, WhatAStretchSentIsNumberedAfterWhatWasTaken) {
  constexpr PartitionId kWay{5};
  const auto fold = [](Mailbox& mailbox) {
    for (const Seq seq : {10, 20, 30, 40, 40, 50}) {
      mailbox.send(kWay, TenantId{1}, seq, "by " + std::to_string(seq));
    }
  };
  const auto pending = [](const Mailbox& mailbox) {
    std::vector<std::string> all;
    mailbox.each_pending([&](PartitionId, const Mailbox::Sent& sent) {
      all.push_back(std::to_string(sent.n) + " " + sent.body);
    });
    return all;
  };
  Mailbox mailbox;
  fold(mailbox);
  // The receiver has taken 1 to 4: record 40 sent number 3, record 45 number 4.
  mailbox.acknowledged(kWay, 4, 30);
  mailbox.renumber(kWay, 30, {4, {40, 45}});
  EXPECT_EQ(pending(mailbox), (std::vector<std::string>{"5 by 30", "6 by 40", "7 by 50"}));
  EXPECT_EQ(mailbox.last_sent(kWay), 7u);
  EXPECT_EQ(mailbox.acknowledged_by(kWay), 4u);
  EXPECT_EQ(mailbox.pending(), 3u);
  // The hash is that of a mailbox that came to the same otherwise.
  Mailbox other;
  for (int i = 0; i < 4; ++i) other.send(kWay, TenantId{1}, 1, "gone");
  other.acknowledged(kWay, 4);
  for (const Seq seq : {30, 40, 50})
    other.send(kWay, TenantId{1}, seq, "by " + std::to_string(seq));
  EXPECT_EQ(mailbox.hash(), other.hash());
  // Nothing of it was taken yet: the numbers stay as they were.
  Mailbox untouched;
  fold(untouched);
  untouched.renumber(kWay, 30, {});
  EXPECT_EQ(untouched.last_sent(kWay), 6u);
  EXPECT_EQ(pending(untouched).size(), 6u);
}

TEST(Mailbox, NumbersPerWayAndCumulativeAcknowledgements) {
  Mailbox mail;
  const PartitionId a{1}, b{2};
  EXPECT_EQ(mail.send(a, TenantId{1}, 9, "one"), 1u);
  EXPECT_EQ(mail.send(b, TenantId{1}, 9, "other"), 1u);
  EXPECT_EQ(mail.send(a, TenantId{1}, 9, "two"), 2u);
  EXPECT_EQ(mail.send(a, TenantId{1}, 9, "three"), 3u);
  mail.take(b, 4);
  const Hash128 full = mail.hash();
  mail.acknowledged(a, 2);
  EXPECT_EQ(mail.pending(), 2u);
  EXPECT_NE(mail.hash(), full);
  std::string bytes;
  Writer writer(bytes);
  mail.write(writer);
  Mailbox loaded;
  Reader reader(bytes);
  ASSERT_TRUE(loaded.read(reader));
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(loaded.hash(), mail.hash());
  EXPECT_EQ(loaded.pending(), 2u);
  EXPECT_EQ(loaded.taken_from(b), 4u);
  EXPECT_EQ(loaded.last_sent(a), 3u);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Mailbox damaged;
    Reader short_reader(std::string_view(bytes).substr(0, cut));
    EXPECT_FALSE(damaged.read(short_reader));
  }
}

TEST(Mailbox, WhatStallsIsSentAgainAndNothingElse) {
  Mailbox mail;
  const PartitionId a{1}, b{2};
  for (Seq since = 1; since <= 4; ++since) mail.send(a, TenantId{1}, since, "to a");
  mail.send(b, TenantId{1}, 5, "to b");
  std::vector<std::pair<unsigned, std::uint64_t>> again;
  const auto look = [&](Seq durable, std::size_t each) {
    again.clear();
    mail.each_stalled(durable, each, [&](PartitionId destination, const Mailbox::Sent& sent) {
      again.emplace_back(number(destination), sent.n);
    });
  };
  using Again = std::vector<std::pair<unsigned, std::uint64_t>>;
  look(9, 9);
  EXPECT_EQ(again, Again{}) << "it has only just been sent";
  mail.acknowledged(b, 1);
  look(3, 9);
  EXPECT_EQ(again, (Again{{1, 1}, {1, 2}, {1, 3}})) << "the fourth is not durable yet";
  mail.acknowledged(a, 1);
  look(9, 9);
  EXPECT_EQ(again, Again{}) << "it goes on";
  look(9, 2);
  EXPECT_EQ(again, (Again{{1, 2}, {1, 3}}));
}

}  // namespace
}  // namespace sluice::core
