// `concurrency … joins` where two records meet: what is given back, who begins, who is told.
#include <gtest/gtest.h>

#include "engine/core/message.hpp"
#include "tests/core/driver.hpp"
#include "vm/builder.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

using vm::Op;

constexpr PartitionId kHere{0}, kParents{1};

// A step, a `receive` of the event, a step more.
std::shared_ptr<const vm::VerifiedProgram> program(std::uint32_t at_once) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  vm::Program made = make_program(pipeline);
  vm::ConstantPool constants(made);
  vm::FunctionBuilder b("flow", vm::FunctionKind::flow, 1, made.flows[0].name);
  const vm::Register text = b.allocate(), got = b.allocate(), length = b.allocate();
  const vm::Label late = b.make_label();
  b.emit_indexed(Op::get_field, text, b.parameter(0), 0);
  b.emit_indexed(Op::step, text, text, 1);
  b.emit_wide(Op::load_const, length, constants.add(vm::Value::duration(60'000)));
  b.emit_indexed(Op::receive, got, length, 0);
  b.emit_jump(Op::jump_if_none, got, late);
  b.emit_indexed(Op::step, text, text, 1);
  b.bind(late);
  const vm::Register answer = b.allocate();
  b.emit_indexed(Op::make_record, answer, text, made.events[1].record);
  b.emit_finish(answer, 1);
  made.functions[made.flows[0].function] = b.finish().value();
  made.receives.push_back({"more", 0, 0, std::nullopt, 0, std::nullopt});
  made.flows[0].concurrency = vm::Concurrency{at_once, vm::Overload::joins, 0, vm::Per::tenant};
  return vm::verify(std::move(made)).value();
}

// Runs that are the steps of others, which live in another partition.
struct Joins : testing::Test {
  Driver driver{{}, {kHere, 2, {}}};
  std::uint64_t sent = 0;

  void set_up(std::uint32_t at_once) { driver.programs.add(1, program(at_once)); }
  static RunId parent_of(unsigned n) { return make_run_id(kParents, n, kStart, 0); }
  static RunId child_of(unsigned n) { return make_run_id_at(kHere, kParents, n, kStart, 1); }

  template <class Body>
  Effects tell(unsigned n, const Body& body) {
    const std::string bytes = encode(body);
    Envelope envelope;
    envelope.kind = Body::kKind;
    envelope.run = parent_of(n);
    envelope.body = bytes;
    const std::string message = encode(envelope);
    return driver.take(make_record(kTenant, Message{kParents, ++sent, message}));
  }
  Effects start(unsigned n) {
    const std::string args =
        vm::encode_value(vm::Value::list({*vm::decode_value(ask(std::to_string(n)))}));
    StartMessage body;
    body.run = child_of(n);
    body.step = 7;
    body.deployment = 1;
    body.args = args;
    tell(n, body);
    return driver.advance(0);
  }
  void call_off(unsigned n) { tell(n, CancelMessage{child_of(n), "not wanted"}); }
  // How often the parent was told how its step ended.
  unsigned told(unsigned n) const {
    unsigned times = 0;
    for (const Send& send : all_of<Send>(driver.effects)) {
      const auto envelope = decode<Envelope>(send.body);
      if (envelope->kind != MessageKind::ended) continue;
      const auto body = decode<EndedMessage>(envelope->body);
      times += body->parent == parent_of(n) && body->step == 7 ? 1 : 0;
    }
    return times;
  }
};

TEST_F(Joins, AnEventWhoseRunCanBeginIsTakenBack) {
  set_up(2);
  const Offer first = only<Offer>(start(1));
  const Offer second = only<Offer>(start(2));
  EXPECT_TRUE(all_of<Offer>(start(3)).empty());  // the second has it among its signals
  EXPECT_TRUE(all_of<Offer>(driver.done(first, "x")).empty());
  driver.advance(60'000 * kMs);  // nothing came for the first
  EXPECT_EQ(told(1), 1u);
  const auto offers = all_of<Offer>(driver.effects);
  ASSERT_EQ(offers.size(), 3u);
  EXPECT_EQ(offers[2].key.run, child_of(3));
  driver.done(second, "x");
  EXPECT_TRUE(driver.partition.run(child_of(2)).has_value()) << "it heard what was taken back";
  driver.fold();
}

TEST_F(Joins, OneThatWasCalledOffAndHeardAllTheSameIsTold) {
  set_up(1);
  const Offer first = only<Offer>(start(1));
  start(2);
  call_off(2);
  // Before the event is given back, the first run receives it.
  const Offer again = only<Offer>(driver.done(first, "x"));
  const auto ended = only<RunChanged>(driver.advance(0)).row;
  EXPECT_EQ(ended.run, child_of(2));
  EXPECT_EQ(ended.state, RunState::joined);
  EXPECT_EQ(told(2), 1u);
  driver.done(again, "x");
  EXPECT_EQ(told(1), 1u);
  EXPECT_EQ(told(2), 1u);
  driver.fold();
}

TEST_F(Joins, WhoeverJoinedIsToldHowTheOtherEnded) {
  set_up(1);
  const Offer first = only<Offer>(start(1));
  start(2);
  const Offer again = only<Offer>(driver.done(first, "x"));
  driver.advance(0);
  EXPECT_EQ(told(2), 0u);
  driver.done(again, "x");
  EXPECT_EQ(told(1), 1u);
  EXPECT_EQ(told(2), 1u);
  driver.fold();
}

}  // namespace
}  // namespace sluice::core::test
