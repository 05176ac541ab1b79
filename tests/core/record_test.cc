#include "engine/core/record.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine/core/effect.hpp"
#include "engine/core/message.hpp"

namespace sluice::core {
namespace {

RunId some_run(std::uint64_t n) {
  return make_run_id(PartitionId{3}, n, 1'000'000'000, 1);
}

// Encoding, decoding and encoding again gives the same bytes; every shorter or longer text is
// refused.
template <class Body>
void check_body(const Body& body) {
  const std::string bytes = encode(body);
  const auto decoded = decode<Body>(bytes);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(encode(*decoded) == bytes);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    RC_ASSERT(!decode<Body>(std::string_view(bytes).substr(0, cut)).has_value());
  }
  RC_ASSERT(!decode<Body>(bytes + '\0').has_value());
  std::string newer = bytes;
  newer[0] = 99;
  RC_ASSERT(!decode<Body>(newer).has_value());
}

TEST(Record, EventsComeBack) {
  EXPECT_TRUE(
      rc::check([](const std::string& a, const std::string& b, std::uint32_t n, std::uint64_t ttl) {
        check_body(Event{n, n / 2, a, b, a, b, a, b, ttl});
        check_body(Start{n, n / 2, a, b, a, b, a});
      }));
}

TEST(Record, ReportsComeBack) {
  EXPECT_TRUE(
      rc::check([](const std::string& a, const std::string& b, std::uint32_t n, std::uint64_t m) {
        const RunId run = some_run(m);
        check_body(Cancel{run, a, b, a});
        check_body(Signal{run, n, n / 2, a, b, a});
        check_body(Presence{run, n % 2 == 0, static_cast<TimeUs>(m)});
        check_body(Granted{run, n, n / 3, m});
        check_body(Done{run, n, n / 3, m, m * 7, m / 2, a});
        check_body(Failed{run, n, n / 3, m, m * 7, m / 2, a, b, n % 2 == 0, n});
        check_body(Lapsed{run, n, n / 3, m, n % 2 ? LapseReason::lost : LapseReason::timed_out});
      }));
}

TEST(Record, TheRestComesBack) {
  EXPECT_TRUE(
      rc::check([](const std::string& a, const std::string& b, std::uint32_t n, std::int64_t t) {
        const PartitionId partition{static_cast<std::uint16_t>(n % kPartitionsMax)};
        check_body(Advance{t, some_run(n), n});
        check_body(DeploymentRecord{n | 1, "0123456789abcdef0123456789abcdef"});
        check_body(Message{partition, n, a});
        check_body(MessageAck{partition, n});
        check_body(CoreSwitch{static_cast<std::uint16_t>(n)});
        check_body(Takeover{n});
        check_body(Envelope{MessageKind::delivery, n, some_run(n), n, a, b, a, b});
        check_body(DeliveryMessage{a, b, a, n % 2 == 0});
        check_body(SignalMessage{some_run(n), a, b, some_run(n / 2), a});
        check_body(TopicEventMessage{a, b, a, t, b, some_run(n), a});
        check_body(SubscribeMessage{some_run(n), t, a, b, a});
        check_body(TurnMessage{n, n, some_run(n), a, b, static_cast<TimeUs>(n), n});
        check_body(Cron{n, n, -static_cast<TimeUs>(n)});
      }));
}

TEST(Record, HostileBytesAreRefusedOrReadWithinBounds) {
  EXPECT_TRUE(rc::check([](const std::string& bytes) {
    const std::string body = std::string(1, 1) + bytes;
    const auto same = [&](const auto& decoded) {
      if (decoded) RC_ASSERT(encode(*decoded) == body);
    };
    same(decode<Event>(body));
    same(decode<Start>(body));
    same(decode<Signal>(body));
    same(decode<Done>(body));
    same(decode<Failed>(body));
    same(decode<Lapsed>(body));
    same(decode<Advance>(body));
    same(decode<Message>(body));
    same(decode<SignalMessage>(body));
    same(decode<TopicEventMessage>(body));
    same(decode<SubscribeMessage>(body));
    same(decode<Envelope>(body));
    same(decode<DeliveryMessage>(body));
    same(decode<TurnMessage>(body));
    same(decode<DeploymentRecord>(body));
    same(decode<Cron>(body));
  }));
}

TEST(Record, NumbersOutOfRangeAreRefused) {
  std::string lapsed = encode(Lapsed{some_run(1), 1, 1, 1, LapseReason::lost});
  lapsed.back() = 3;
  EXPECT_FALSE(decode<Lapsed>(lapsed));
  EXPECT_FALSE(decode<DeploymentRecord>(encode(DeploymentRecord{1, "short"})));
  std::string message = encode(Message{PartitionId{1023}, 1, ""});
  EXPECT_TRUE(decode<Message>(message));
  message[1] = static_cast<char>(0x80);
  message[2] = 0x08;  // 1024
  EXPECT_FALSE(decode<Message>(message));
}

TEST(Record, TheChainDependsOnEveryField) {
  Record record{5, 1000, Kind::done, Verdict::ok, 1, TenantId{2}, "body"};
  const auto link = [](const Record& r, Hash128 previous = {}) {
    ChainLink chain(previous);
    chain.add(r);
    return chain.finish();
  };
  const Hash128 before = link(record);
  EXPECT_EQ(before, link(record));
  EXPECT_NE(before, link(record, {1, 0}));
  const auto differs = [&](auto change) {
    Record other = record;
    change(other);
    return link(other) != before;
  };
  EXPECT_TRUE(differs([](Record& r) { r.seq = 6; }));
  EXPECT_TRUE(differs([](Record& r) { r.time = 1001; }));
  EXPECT_TRUE(differs([](Record& r) { r.kind = Kind::failed; }));
  EXPECT_TRUE(differs([](Record& r) { r.verdict = Verdict::faulted; }));
  EXPECT_TRUE(differs([](Record& r) { r.core = 2; }));
  EXPECT_TRUE(differs([](Record& r) { r.tenant = TenantId{3}; }));
  EXPECT_TRUE(differs([](Record& r) { r.body += "x"; }));
}

TEST(Effect, DeliveriesComeBack) {
  EXPECT_TRUE(rc::check([](const std::string& a, const std::string& b, bool outcome) {
    Delivery delivery;
    delivery.tenant = TenantId{4};
    delivery.client = a;
    delivery.name = b;
    delivery.data_json = a + b;
    delivery.run = some_run(9);
    delivery.correlation = b;
    delivery.causation = a;
    delivery.outcome = outcome;
    const std::string bytes = encode_delivery(delivery);
    Delivery decoded;
    RC_ASSERT(decode_delivery(bytes, decoded));
    RC_ASSERT(encode_delivery(decoded) == bytes);
    Delivery cut;
    RC_ASSERT(!decode_delivery(std::string_view(bytes).substr(0, bytes.size() - 1), cut));
  }));
}

}  // namespace
}  // namespace sluice::core
