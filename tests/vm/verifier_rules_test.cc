#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"
#include "vm/verifier.hpp"

// The verifier's rules about what few programs have: receives, child flows, rates, schedules.
namespace sluice::vm::testing {
namespace {

// The support program with a receive from its topic, a step that runs its flow, and a sentinel
// instruction in the flow's code that rows replace.
struct WideProgram : SupportProgram {
  uint32_t body = 3, child = 0, outcomes = 0;
  WideProgram() {
    child = static_cast<uint32_t>(program.steps.size());
    StepSite step;
    step.name = "child";
    step.flow = 0;
    EnumType all{"Outcome", {}};
    for (uint32_t event : program.flows[0].outcomes) {
      const TypeId type = program.types.record_type(program.events[event].record);
      all.cases.push_back(
          {program.events[event].name, {{"value", type, std::nullopt, std::nullopt, "", 0}}});
    }
    outcomes = static_cast<uint32_t>(program.types.enums.size());
    program.types.enums.push_back(all);
    step.outcomes = outcomes;
    program.steps.push_back(step);
    ReceiveSite site;
    site.name = "next";
    site.topic = 0;
    program.receives.push_back(site);
  }
  // In the place of the flow's first instruction, which writes register 1.
  void put(Instruction instruction) { program.functions[body].code[0] = instruction; }
};

struct Row {
  const char* message;  // part of it
  std::function<void(WideProgram&)> spoil;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    WideProgram wide;
    row.spoil(wide);
    auto result = verify(wide.program);
    ASSERT_FALSE(result) << "accepted: " << row.message;
    EXPECT_NE(result.error().message.find(row.message), std::string::npos)
        << "expected: " << row.message << "\n     got: " << result.error().message;
  }
}

constexpr uint16_t kNone = 999;

TEST(VerifierRules, the_wide_program_is_accepted) {
  WideProgram wide;
  auto verified = verify(wide.program);
  EXPECT_TRUE(verified) << verified.error().message;
}

TEST(VerifierRules, operands_name_what_is_there) {
  check({
      {"type out of range",
       [](WideProgram& p) {
         p.put({Op::as_type, 0, 1, 0, kNone});
       }},
      {"type out of range",
       [](WideProgram& p) {
         p.put({Op::decode_as, 0, 1, 0, kNone});
       }},
      {"receive site out of range",
       [](WideProgram& p) {
         p.put({Op::receive, 0, 1, 0, kNone});
       }},
      {"topic out of range",
       [](WideProgram& p) {
         p.put({Op::publish, 0, 0, kNone, 0});
       }},
      {"flow out of range",
       [](WideProgram& p) {
         p.put({Op::start_run, 0, 1, 0, kNone});
       }},
      {"unknown client of a start",
       [](WideProgram& p) {
         p.put({Op::start_run, 2, 1, 0, 0});
       }},
      {"unknown kind of loop",
       [](WideProgram& p) {
         p.put({Op::round, 0, kRoundKinds, 0, 0});
       }},
      {"step site out of range",
       [](WideProgram& p) {
         p.put({Op::step_key, 0, 1, 0, kNone});
       }},
      {"spawns no branch",
       [](WideProgram& p) {
         p.put({Op::spawn, 0, kNone, 0, 0});
       }},
      {"enum case out of range",
       [](WideProgram& p) {
         p.put({Op::make_enum, 77, 1, 0, 0});
       }},
      {"register out of range",
       [](WideProgram& p) {
         p.put({Op::join, 0, kNone, 0, 1});
       }},
      {"register out of range",
       [](WideProgram& p) {
         p.put({Op::receive, 0, 1, kNone, 0});
       }},
  });
}

TEST(VerifierRules, calls_have_room_for_their_registers) {
  ProgramBuilder p;
  uint32_t last = 0;
  for (uint32_t i = 0; uint64_t{i} * kRegistersMax <= kStackRegistersMax + kRegistersMax; ++i) {
    last = p.function("f" + std::to_string(i), FunctionKind::pure, 1, [&](FunctionBuilder& f) {
      f.allocate(kRegistersMax - 1);
      if (i > 0) f.emit_indexed(Op::call, f.parameter(0), f.parameter(0), last);
      f.emit(Op::ret, f.parameter(0));
    });
  }
  auto result = verify(p.program);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("calls need too many registers"), std::string::npos)
      << result.error().message;
}

TEST(VerifierRules, child_flows_tell_their_outcomes) {
  check({
      {"has no flow", [](WideProgram& p) { p.program.steps[p.child].flow = 9; }},
      {"policies of a task", [](WideProgram& p) { p.program.steps[p.child].attempts = 2; }},
      {"policies of a task", [](WideProgram& p) { p.program.steps[p.child].task = 1; }},
      {"policies of a task", [](WideProgram& p) { p.program.steps[p.child].has_key_expr = true; }},
      {"policies of a task", [](WideProgram& p) { p.program.steps[p.child].has_unsure = true; }},
      {"cannot tell its outcomes",
       [](WideProgram& p) { p.program.steps[p.child].outcomes.reset(); }},
      {"other outcomes than its flow",
       [](WideProgram& p) { p.program.steps[p.child].outcomes = p.outcomes + 1; }},
      {"other outcomes than its flow",
       [](WideProgram& p) { p.program.types.enums[p.outcomes].cases.pop_back(); }},
      {"other outcomes than its flow",
       [](WideProgram& p) {
         std::swap(p.program.types.enums[p.outcomes].cases[0],
                   p.program.types.enums[p.outcomes].cases[1]);
       }},
      {"has outcomes and no flow", [](WideProgram& p) { p.program.steps[0].outcomes = 0; }},
      {"has no priority", [](WideProgram& p) { p.program.steps[0].priority = 9; }},
  });
}

TEST(VerifierRules, receives_fit_their_event_and_topic) {
  check({
      {"unfit for a path", [](WideProgram& p) { p.program.receives[0].name = "a/b"; }},
      {"is of no flow", [](WideProgram& p) { p.program.receives[0].flow = 9; }},
      {"waits for no event", [](WideProgram& p) { p.program.receives[0].event = 99; }},
      {"is from no topic", [](WideProgram& p) { p.program.receives[0].topic = 9; }},
      {"does not fit its topic", [](WideProgram& p) { p.program.receives[0].event = 1; }},
      {"does not fit its topic", [](WideProgram& p) { p.program.receives[0].key_field = 2; }},
      {"does not fit its topic",
       [](WideProgram& p) {
         p.program.receives[0].topic.reset();
         p.program.receives[0].key_field = 1;
       }},
      {"is filtered by what is no function",
       [](WideProgram& p) { p.program.receives[0].filter = p.body; }},
      {"is filtered by what is no function",
       [](WideProgram& p) { p.program.receives[0].filter = 99; }},
  });
}

TEST(VerifierRules, bounds_count_by_what_is_there) {
  const auto flow = [](WideProgram& p) -> FlowInfo& { return p.program.flows[0]; };
  check({
      {"has a rate of nothing",
       [=](WideProgram& p) {
         flow(p).limit = RateLimit{0, 1000};
       }},
      {"has a rate of nothing",
       [](WideProgram& p) {
         p.program.topics[0].limit = RateLimit{1, 0};
       }},
      {"counts by a key without a function",
       [=](WideProgram& p) {
         flow(p).limit = RateLimit{1, 1000, 0, Per::key};
       }},
      {"counts by a key without a function",
       [=](WideProgram& p) {
         flow(p).limit = RateLimit{1, 1000, 0, Per::client, 0};
       }},
      {"counts by what is no function",
       [=](WideProgram& p) {
         flow(p).limit = RateLimit{1, 1000, 0, Per::key, p.body};
       }},
      {"lets no run go on", [=](WideProgram& p) { flow(p).concurrency = Concurrency{0}; }},
      {"counts by what is no function",
       [=](WideProgram& p) {
         flow(p).concurrency = Concurrency{1, Overload::wait, 1, Per::key, 99};
       }},
      {"is scheduled, and wants an event",
       [=](WideProgram& p) {
         flow(p).schedule = Schedule{"0 7 * * *", "UTC"};
       }},
      {"has a schedule that is none",
       [=](WideProgram& p) {
         FlowInfo nightly = flow(p);
         nightly.name = "nightly";
         nightly.function = static_cast<uint32_t>(p.program.functions.size());
         nightly.on_failure.reset();
         nightly.trigger.reset();
         nightly.parameters.clear();
         nightly.schedule = Schedule{"0 77 * * *", "UTC"};
         p.function(
             "nightly", FunctionKind::flow, 0, [](FunctionBuilder& f) { f.emit(Op::finish_bare); },
             "nightly");
         p.program.flows.push_back(nightly);
       }},
      {"has a parameter without type",
       [=](WideProgram& p) { flow(p).parameters[0].type = {kNone}; }},
  });
}

}  // namespace
}  // namespace sluice::vm::testing
