// A stored journal of core 1 must fold to the effects it had when it was written, in every later
// version: clients have seen those effects. UPDATE_GOLDEN=1 writes the file anew; that is right
// only while no release has written journals of this core.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "engine/core/codec.hpp"
#include "tests/core/driver.hpp"
#include "tests/core/random_work.hpp"

namespace sluice::core::test {
namespace {

constexpr int kJournals = 12;
constexpr int kChoices = 80;

std::string golden_path() {
  return std::string(SLUICE_SOURCE_DIR) + "/tests/core/golden/journals_core1.bin";
}

std::uint8_t shape_of(int journal) {
  return static_cast<std::uint8_t>(journal * 37 + 5);
}

void write_journals() {
  std::string bytes;
  Writer writer(bytes);
  std::uint32_t state = 1;
  for (int journal = 0; journal < kJournals; ++journal) {
    Driver driver(random_pipeline(shape_of(journal)));
    RandomWork work(driver);
    for (int i = 0; i < kChoices; ++i) {
      state = state * 1664525 + 1013904223;
      work.step(state >> 4);
    }
    writer.varint(driver.journal.size());
    for (const auto& entry : driver.journal) {
      writer.varint(entry.record.seq);
      writer.svarint(entry.record.time);
      writer.varint(static_cast<std::uint64_t>(entry.record.kind));
      writer.u8(static_cast<std::uint8_t>(entry.record.verdict));
      writer.varint(entry.record.core);
      writer.varint(number(entry.record.tenant));
      writer.bytes(entry.record.body);
      writer.hash(entry.digest);
    }
  }
  std::ofstream(golden_path(), std::ios::binary) << bytes;
}

TEST(Golden, JournalsOfCoreOneFoldToTheSameEffects) {
  if (std::getenv("UPDATE_GOLDEN") != nullptr) write_journals();
  std::ifstream file(golden_path(), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(bytes.empty()) << golden_path();
  Reader reader(bytes);
  for (int journal = 0; journal < kJournals; ++journal) {
    TestPrograms programs;
    programs.add(1, random_pipeline(shape_of(journal)));
    Partition partition({}, programs);
    const std::uint64_t count = reader.varint();
    for (std::uint64_t i = 0; i < count; ++i) {
      Record record;
      record.seq = reader.varint();
      record.time = reader.svarint();
      record.kind = static_cast<Kind>(reader.varint());
      record.verdict = static_cast<Verdict>(reader.u8());
      record.core = static_cast<std::uint16_t>(reader.varint());
      record.tenant = static_cast<TenantId>(reader.varint32());
      record.body = reader.bytes();
      const Hash128 digest = reader.hash();
      Effects effects;
      const auto applied = partition.apply(record, {}, effects);
      ASSERT_TRUE(applied.has_value()) << applied.error().message;
      ASSERT_EQ(applied->verdict, record.verdict);
      ASSERT_EQ(partition.take_digest(), digest)
          << "journal " << journal << ", record " << record.seq;
    }
  }
  EXPECT_TRUE(reader.done());
}

}  // namespace
}  // namespace sluice::core::test
