#include "engine/core/siphash.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

#include "engine/core/ids.hpp"

namespace sluice::core {
namespace {

// The reference's key: bytes 0 … 15.
constexpr SipKey kReferenceKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};

std::string counting(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST(SipHash, AgreesWithTheReferenceVectors) {
  const struct {
    std::size_t size;
    std::uint64_t hash64;
  } rows[] = {
      {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
      {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(siphash64(kReferenceKey, counting(row.size)), row.hash64) << row.size;
  }
  const Hash128 empty = siphash128(kReferenceKey, "");
  const std::uint8_t expected[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                     0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
  EXPECT_EQ(empty, Hash128::from_bytes(expected));
}

TEST(SipHash, PiecesHashAsTheWhole) {
  EXPECT_TRUE(rc::check([](const std::string& a, const std::string& b, const std::string& c) {
    SipHasher128 hasher(kReferenceKey);
    hasher.add(a);
    hasher.add(b);
    hasher.add(c);
    RC_ASSERT(hasher.finish() == siphash128(kReferenceKey, a + b + c));
  }));
}

TEST(Ids, TextAndPartitionComeBack) {
  EXPECT_TRUE(rc::check([](std::uint16_t partition, std::uint64_t seq, std::uint32_t ms) {
    const PartitionId home{static_cast<std::uint16_t>(partition % kPartitionsMax)};
    const RunId id = make_run_id(home, seq, TimeUs{ms} * 1'000'000, 3);
    RC_ASSERT(partition_of(id) == home);
    const std::string text = to_text(id);
    RC_ASSERT(text[14] == '7');
    RC_ASSERT((text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b'));
    RC_ASSERT(parse_run_id(text) == id);
  }));
}

TEST(Ids, SortByTime) {
  const PartitionId home{5};
  EXPECT_LT(make_run_id(home, 9, 1'000'000, 0), make_run_id(home, 1, 2'000'000, 0));
}

TEST(Ids, OtherTextsAreNone) {
  const char* rows[] = {"",
                        "x",
                        "0190b5a2-0000-7000-8000-00000000000",
                        "0190b5a2-0000-7000-8000-0000000000000",
                        "0190b5a2-0000-7000-8000-00000000000g",
                        "0190b5a2_0000-7000-8000-000000000000"};
  for (const char* row : rows) EXPECT_FALSE(parse_id(row)) << row;
}

TEST(Ids, HomesSpreadAndStay) {
  std::vector<unsigned> hits(8);
  for (int i = 0; i < 8000; ++i) {
    ++hits[number(partition_of_client(TenantId{1}, "client-" + std::to_string(i), 8))];
  }
  for (const unsigned hit : hits) EXPECT_NEAR(hit, 1000, 200);
  // Stored data depends on it: a change of this number would strand every client.
  EXPECT_EQ(number(partition_of_client(TenantId{1}, "client-0", 1024)),
            number(partition_of_client(TenantId{1}, "client-0", 1024)));
}

}  // namespace
}  // namespace sluice::core
