// The RFC 6455 codec: what one side writes the other reads, however the bytes are cut; misuse is
// named; hostile bytes do no harm.
#include "gateway/ws/frames.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>
#include <vector>

namespace sluice::gateway::ws {
namespace {

constexpr std::size_t kMost = 5000;

struct Read {
  Item::Kind kind;
  std::string payload;
  std::uint16_t code;
  friend bool operator==(const Read&, const Read&) = default;
};

// Everything that a reader takes out of `bytes`, fed in pieces of the given sizes (the last one
// repeats).
std::vector<Read> read_all(const std::string& bytes, const std::vector<std::size_t>& pieces,
                           Role role = Role::kServer, std::size_t most = kMost) {
  FrameReader reader(role, most);
  std::vector<Read> items;
  std::string inbox;
  std::size_t at = 0;
  for (std::size_t i = 0; at < bytes.size(); ++i) {
    const std::size_t want = pieces.empty()
                                 ? bytes.size()
                                 : std::max<std::size_t>(1, pieces[std::min(i, pieces.size() - 1)]);
    inbox += bytes.substr(at, want);
    at += std::min(want, bytes.size() - at);
    char* begin = inbox.data();
    while (true) {
      const Item item = reader.next(&begin, inbox.data() + inbox.size());
      if (item.kind == Item::Kind::kNeedMore) break;
      items.push_back({item.kind, std::string(item.payload), item.code});
    }
    inbox.erase(0, static_cast<std::size_t>(begin - inbox.data()));
    RC_ASSERT(reader.bytes_wanted(inbox.size()) >= 1u);
  }
  return items;
}

std::string masked(Opcode opcode, std::string_view payload, bool fin = true) {
  std::string out;
  append_masked_frame(out, opcode, payload, {1, 200, 3, 77}, fin);
  return out;
}

TEST(Frames, WhatIsWrittenIsReadHoweverItIsCut) {
  EXPECT_TRUE(rc::check("round trip", [] {
    const auto sizes = *rc::gen::container<std::vector<std::size_t>>(
        rc::gen::oneOf(rc::gen::inRange<std::size_t>(0, 140),
                       rc::gen::element<std::size_t>(125, 126, 127, 4000, 4999)));
    const auto pieces = *rc::gen::nonEmpty(
        rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 700)));
    std::string bytes;
    std::vector<Read> wanted;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const std::string payload(sizes[i], static_cast<char>('a' + i % 26));
      const std::size_t parts = *rc::gen::inRange<std::size_t>(1, 4);
      const std::size_t part = payload.size() / parts;
      for (std::size_t p = 0; p < parts; ++p) {
        const bool last = p + 1 == parts;
        bytes += masked(p == 0 ? Opcode::kText : Opcode::kContinuation,
                        std::string_view(payload).substr(p * part, last ? std::string::npos : part),
                        last);
        if (!last && *rc::gen::inRange(0, 3) == 0) {
          bytes += masked(Opcode::kPing, "between");
          wanted.push_back({Item::Kind::kPing, "between", 0});
        }
      }
      wanted.push_back({Item::Kind::kText, payload, 0});
    }
    RC_ASSERT(read_all(bytes, pieces) == wanted);
  }));
}

TEST(Frames, ServerFramesAreReadByAClient) {
  std::string bytes;
  for (const std::size_t size : {0u, 125u, 126u, 65535u, 65536u})
    append_frame(bytes, Opcode::kText, std::string(size, 'x'));
  const auto items = read_all(bytes, {1000}, Role::kClient, 70000);
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[4].payload.size(), 65536u);
  std::string close;
  append_close(close, 4400, std::string(200, 'r'));
  EXPECT_EQ(read_all(close, {}, Role::kClient).at(0).code, 4400);
  EXPECT_EQ(read_all(close, {}, Role::kClient).at(0).payload.size(), 123u);
}

struct Misuse {
  const char* name;
  std::string bytes;
  std::uint16_t code;
};

TEST(Frames, MisuseGetsTheCodeOfTheStandard) {
  const auto raw = [](std::initializer_list<int> bytes) {
    std::string out;
    for (const int byte : bytes) out.push_back(static_cast<char>(byte));
    return out;
  };
  const Misuse rows[] = {
      {"reserved bit", raw({0xc1, 0x80, 0, 0, 0, 0}), kCloseProtocolError},
      {"unknown opcode", raw({0x83, 0x80, 0, 0, 0, 0}), kCloseProtocolError},
      {"unmasked", raw({0x81, 0x01, 'a'}), kCloseProtocolError},
      {"fragmented ping", raw({0x09, 0x80, 0, 0, 0, 0}), kCloseProtocolError},
      {"long ping", raw({0x89, 0xfe, 0, 126}), kCloseProtocolError},
      {"16-bit length not minimal", raw({0x81, 0xfe, 0, 125, 0, 0, 0, 0}), kCloseProtocolError},
      {"64-bit length not minimal", raw({0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}),
       kCloseProtocolError},
      {"64-bit length with its top bit", raw({0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
       kCloseProtocolError},
      {"continuation of nothing", masked(Opcode::kContinuation, "x"), kCloseProtocolError},
      {"message inside a message", masked(Opcode::kText, "x", false) + masked(Opcode::kText, "y"),
       kCloseProtocolError},
      {"close of one byte", masked(Opcode::kClose, "x"), kCloseProtocolError},
      {"close code 1005", masked(Opcode::kClose, raw({0x03, 0xed})), kCloseProtocolError},
      {"close code 999", masked(Opcode::kClose, raw({0x03, 0xe7})), kCloseProtocolError},
      {"close reason not UTF-8", masked(Opcode::kClose, raw({0x03, 0xe8, 0xff})),
       kCloseInvalidText},
      {"text not UTF-8", masked(Opcode::kText, "\xc3("), kCloseInvalidText},
      {"text with a surrogate", masked(Opcode::kText, "\xed\xa0\x80"), kCloseInvalidText},
      {"split character never finished",
       masked(Opcode::kText, "\xe2\x82", false) + masked(Opcode::kContinuation, "x"),
       kCloseInvalidText},
  };
  for (const Misuse& row : rows) {
    const auto items = read_all(row.bytes, {1});
    ASSERT_FALSE(items.empty()) << row.name;
    EXPECT_EQ(items.back().kind, Item::Kind::kError) << row.name;
    EXPECT_EQ(items.back().code, row.code) << row.name;
  }
}

TEST(Frames, ATooLargeMessageIsToldOnceDroppedAndTheNextIsRead) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
    const std::string one =
        masked(Opcode::kText, std::string(kMost + 1, 'x')) + masked(Opcode::kText, "after");
    const auto items = read_all(one, {piece});
    ASSERT_EQ(items.size(), 3u);
    EXPECT_EQ(items[0].kind, Item::Kind::kTooLarge);
    EXPECT_EQ(items[1].kind, Item::Kind::kDropped);
    EXPECT_EQ(items[2].payload, "after");
    const std::string many = masked(Opcode::kText, std::string(3000, 'x'), false) +
                             masked(Opcode::kContinuation, std::string(3000, 'x'), false) +
                             masked(Opcode::kPing, "p") + masked(Opcode::kContinuation, "", false) +
                             masked(Opcode::kContinuation, "end") + masked(Opcode::kText, "after");
    const auto parts = read_all(many, {piece});
    ASSERT_EQ(parts.size(), 4u);
    EXPECT_EQ(parts[0].kind, Item::Kind::kTooLarge);
    EXPECT_EQ(parts[1].kind, Item::Kind::kPing);
    EXPECT_EQ(parts[2].kind, Item::Kind::kDropped);
    EXPECT_EQ(parts[3].payload, "after");
  }
}

TEST(Frames, HostileBytesNeitherCrashNorGrow) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = masked(Opcode::kText, std::string(random() % 300, 'x'), random() % 2 == 0) +
                        masked(Opcode::kContinuation, "tail") +
                        masked(Opcode::kClose,
                               "\x03\xe8"
                               "bye");
    for (unsigned flips = random() % 6; flips > 0; --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(bytes.size() - random() % bytes.size());
    for (const Read& item : read_all(bytes, {1 + random() % 50})) {
      EXPECT_LE(item.payload.size(), kMost);
      if (item.kind == Item::Kind::kText) {
        EXPECT_TRUE(is_utf8(item.payload));
      }
    }
  }
}

// The slow, obvious reference: decode to code points.
bool is_utf8_slow(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t size = byte < 0x80       ? 1
                             : byte >> 5 == 6  ? 2
                             : byte >> 4 == 14 ? 3
                             : byte >> 3 == 30 ? 4
                                               : 0;
    if (size == 0 || i + size > text.size()) return false;
    std::uint32_t point = size == 1 ? byte : byte & (0xffu >> (size + 1));
    for (std::size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if (next >> 6 != 2) return false;
      point = point << 6 | (next & 63u);
    }
    const std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      return false;
    i += size;
  }
  return true;
}

TEST(Frames, Utf8AgreesWithTheReference) {
  std::mt19937 random(11);
  const unsigned char interesting[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2,
                                       0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, 'a'};
  for (int round = 0; round < 200000; ++round) {
    std::string text(random() % 12, 'a');
    for (char& c : text) {
      if (random() % 2 == 0) c = static_cast<char>(interesting[random() % std::size(interesting)]);
    }
    ASSERT_EQ(is_utf8(text), is_utf8_slow(text)) << testing::PrintToString(text);
  }
}

TEST(Frames, AcceptKeyIsThatOfTheStandard) {
  EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(accept_key("short"), "");
}

}  // namespace
}  // namespace sluice::gateway::ws
