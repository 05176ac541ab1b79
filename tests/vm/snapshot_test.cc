#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"
#include "vm/hash.hpp"

namespace sluice::vm::testing {
namespace {

std::string sealed(std::string body) {
  uint64_t hash = hash64(body);
  for (int i = 0; i < 8; ++i) body.push_back(static_cast<char>(hash >> (8 * i)));
  return body;
}

struct Snapshot : ::testing::Test {
  SupportProgram p;
  Driver d{p.verified(), 0, {p.ask_value("hello")}};
  std::string bytes;

  void SetUp() override {
    d.begin();
    d.succeed("answer/verdict", p.verdict_value(false, ""));
    bytes = d.run.snapshot();
  }
};

TEST_F(Snapshot, holds_what_is_needed_and_no_more) {
  EXPECT_LT(bytes.size(), 300U);
  // The verdict is used up: nothing of it is kept.
  auto again = Run::restore(d.unit, bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->info().client, "ann");
  EXPECT_EQ(again->phase(), Phase::running);
  EXPECT_EQ(again->open_steps()[0].path, "answer/hold");
  EXPECT_TRUE(again->is_open({2}));
  EXPECT_FALSE(again->is_open({1}));
}

TEST_F(Snapshot, hash_is_its_last_eight_bytes) {
  uint64_t tail = 0;
  for (int i = 0; i < 8; ++i) {
    tail |= uint64_t{static_cast<uint8_t>(bytes[bytes.size() - 8 + static_cast<size_t>(i)])}
            << (8 * i);
  }
  EXPECT_EQ(d.run.hash(), tail);
}

TEST_F(Snapshot, differs_between_states_and_not_between_equal_ones) {
  SupportProgram q;
  Driver other(q.verified(), 0, {q.ask_value("hello")});
  other.begin();
  EXPECT_NE(other.run.snapshot(), bytes);
  other.succeed("answer/verdict", q.verdict_value(false, "another reason, used by nobody"));
  EXPECT_EQ(other.run.snapshot(), bytes);
}

TEST_F(Snapshot, is_refused_when_altered_or_cut) {
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(Run::restore(d.unit, std::string_view(bytes).substr(0, length)));
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
    EXPECT_FALSE(Run::restore(d.unit, flipped)) << at;
  }
}

// Under a checksum that fits: refused, or a run that can be driven on without harm.
TEST_F(Snapshot, hostile_bytes_are_survived) {
  std::string body = bytes.substr(0, bytes.size() - 8);
  for (size_t at = 2; at < body.size(); ++at) {
    for (int byte = 0; byte < 256; byte += 5) {
      std::string hostile = body;
      hostile[at] = static_cast<char>(byte);
      auto run = Run::restore(d.unit, sealed(hostile));
      if (!run) continue;
      Commands commands;
      for (const Run::OpenStep& step : run->open_steps()) {
        run->step_failed(step.id, {"Lost", "", "", 1}, true, commands);
      }
      run->cancel(CancelKind::cancelled, "", commands);
      run->on_failure_expired(commands);
    }
    EXPECT_FALSE(Run::restore(d.unit, sealed(body.substr(0, at)))) << at;
  }
}

TEST_F(Snapshot, of_another_program_is_refused) {
  ProgramBuilder q;
  uint32_t body = q.function(
      "main", FunctionKind::flow, 0, [](FunctionBuilder& f) { f.emit(Op::finish_bare); }, "main");
  q.flow("main", {}, body, std::nullopt, {});
  Unit unit(q.verified());
  auto run = Run::restore(unit, bytes);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().message, "the snapshot does not fit this program");
}

TEST_F(Snapshot, of_another_version_is_refused_by_name) {
  std::string body = bytes.substr(0, bytes.size() - 8);
  body[1] = 9;
  auto run = Run::restore(d.unit, sealed(body));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().message, "the snapshot has another version");
}

// Stored bytes: this state must be restored by every later version.
TEST_F(Snapshot, known_bytes) {
  EXPECT_EQ(to_hex(sha256(bytes)),
            "6e19828a4032a181672b37dc707d0e17934f1a6eeab20d819f965b8c8632f5fe");
}

}  // namespace
}  // namespace sluice::vm::testing
