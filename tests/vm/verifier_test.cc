#include "vm/verifier.hpp"

#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"

namespace sluice::vm::testing {
namespace {

void hedge(StepSite& step, uint32_t other) {
  step.idempotent = true;
  step.hedge_after_ms = 1;
  step.hedge_site = other;
}

// Functions of the support program, in order of making.
constexpr uint32_t kPrompt = 0, kUndo = 1, kBody = 3, kOnFailure = 4;

struct Row {
  const char* message;  // part of it
  std::function<void(Program&)> spoil;
};

// The first instruction of that kind.
Instruction& find(Program& p, uint32_t function, Op op) {
  for (Instruction& i : p.functions[function].code) {
    if (i.op == op) return i;
  }
  throw std::runtime_error("no such instruction");
}

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    Program program = SupportProgram().program;
    row.spoil(program);
    auto result = verify(std::move(program));
    ASSERT_FALSE(result) << "accepted: " << row.message;
    EXPECT_NE(result.error().message.find(row.message), std::string::npos)
        << "expected: " << row.message << "\n     got: " << result.error().message;
  }
}

TEST(Verifier, accepts_the_support_program) {
  SupportProgram p;
  auto verified = p.verified();
  EXPECT_EQ(verified->program(), p.program);
  const FunctionFacts& facts = verified->facts(kBody);
  ASSERT_EQ(facts.suspensions.size(), 6U);  // five steps and a notify
  // Across the first step only the event is needed (its text and history are asked for again).
  EXPECT_EQ(facts.suspensions[0].live, (std::vector<uint16_t>{0, 1}));
  EXPECT_EQ(verified->facts(kOnFailure).live_parameters, (std::vector<uint16_t>{1}));
}

TEST(Verifier, refuses_hostile_code) {
  check({
      {"has no code", [](Program& p) { p.functions[kBody].code.clear(); }},
      {"has too few registers", [](Program& p) { p.functions[kPrompt].registers = 1; }},
      {"register out of range", [](Program& p) { p.functions[kPrompt].registers = 4; }},
      {"register out of range", [](Program& p) { find(p, kPrompt, Op::concat_all).c = 60000; }},
      {"register out of range", [](Program& p) { find(p, kBody, Op::step).b = 65535; }},
      {"unknown instruction",
       [](Program& p) { p.functions[kPrompt].code[0].op = static_cast<Op>(250); }},
      {"constant out of range",
       [](Program& p) { find(p, kPrompt, Op::load_const).set_wide(1000); }},
      {"constant is no float",
       [](Program& p) {
         p.functions[kPrompt].code[0] = {Op::add_float_const, 0, 2, 0, 0};
       }},
      {"constant is no float",
       [](Program& p) {
         p.functions[kPrompt].code[0] = {Op::const_div_float, 0, 2, 0, 9999};
       }},
      {"jump out of the function", [](Program& p) { find(p, kBody, Op::jump).set_wide(4000); }},
      {"record out of range", [](Program& p) { find(p, kBody, Op::make_record).c = 999; }},
      {"enum case out of range",
       [](Program& p) {
         p.functions[kPrompt].code[0] = {Op::make_enum, 0, 2, 0, 0};
       }},
      {"calls no pure function", [](Program& p) { find(p, kBody, Op::call).c = kBody; }},
      {"calls no pure function", [](Program& p) { find(p, kBody, Op::call).c = 77; }},
      {"builtin out of range", [](Program& p) { find(p, kPrompt, Op::builtin).c = 999; }},
      {"step site out of range", [](Program& p) { find(p, kBody, Op::step).c = 999; }},
      {"step site out of range", [](Program& p) { find(p, kBody, Op::on_undo).c = 999; }},
      {"event out of range", [](Program& p) { find(p, kBody, Op::finish).b = 999; }},
      {"event out of range", [](Program& p) { find(p, kBody, Op::notify).b = 999; }},
      {"unknown target of a notify", [](Program& p) { find(p, kBody, Op::notify).x = 4; }},
      {"registers no compensation of that many values",
       [](Program& p) { find(p, kBody, Op::on_undo).a = kPrompt; }},
      {"registers no compensation of that many values",
       [](Program& p) { find(p, kBody, Op::on_undo).x = 2; }},
      {"arm_unsure does not stand before its step",
       [](Program& p) { find(p, kBody, Op::arm_unsure).c = 0; }},
      {"spawns no branch of that many values",
       [](Program& p) {
         find(p, kBody, Op::notify) = {Op::spawn, 0, kUndo, 0, 1};
       }},
      {"code runs off the end", [](Program& p) { p.functions[kBody].code.pop_back(); }},
      {"code runs off the end",
       [](Program& p) {
         p.functions[kPrompt].code.back() = {Op::list_next, 0, 2, 0, 1};
       }},
      {"does not fit the kind",
       [](Program& p) {
         p.functions[kPrompt].code[0] = {Op::step, 0, 2, 0, 0};
       }},
      {"does not fit the kind", [](Program& p) { p.functions[kBody].code.back().op = Op::ret; }},
      {"does not fit the kind",
       [](Program& p) { p.functions[kOnFailure].code[0].op = Op::on_undo; }},
      {"does not fit the kind",
       [](Program& p) { p.functions[kUndo].code.back().op = Op::finish_bare; }},
      {"does not fit the kind",
       [](Program& p) { p.functions[kPrompt].code.back().op = Op::finish_bare; }},
      {"reads r2 before it is written",
       [](Program& p) {
         find(p, kPrompt, Op::load_const) = {Op::nop, 0, 0, 0, 0};
       }},
      {"reads r1 before it is written",
       [](Program& p) {
         p.functions[kBody].code[0] = {Op::nop, 0, 0, 0, 0};
       }},
      {"calls itself",
       [](Program& p) {
         p.functions[kPrompt].code[0] = {Op::call, 0, 2, 0, kPrompt};
       }},
      {"malformed handler", [](Program& p) { p.functions[kBody].handlers[0].end_pc = 9999; }},
      {"malformed handler", [](Program& p) { p.functions[kBody].handlers[0].handler_pc = 9999; }},
      {"malformed handler", [](Program& p) { p.functions[kBody].handlers[0].begin_pc = 9999; }},
      {"malformed handler",
       [](Program& p) { p.functions[kBody].handlers[0].failure_register = 200; }},
      {"malformed handler", [](Program& p) { p.functions[kBody].handlers[0].flags = 2; }},
      {"is pure and has a handler",
       [](Program& p) {
         p.functions[kPrompt].handlers.push_back({0, 1, 0, kNoRegister, 1});
       }},
      {"malformed line table", [](Program& p) { p.functions[kBody].lines[0].source = 7; }},
      {"malformed line table", [](Program& p) { p.functions[kBody].lines[0].pc = 7777; }},
      {"unfit for a path", [](Program& p) { p.functions[kBody].segment = "a/b"; }},
      {"unfit for a path", [](Program& p) { p.functions[kBody].segment = ""; }},
  });
}

TEST(Verifier, refuses_hostile_tables) {
  check({
      {"instruction set 9", [](Program& p) { p.isa = 9; }},
      {"does not begin with the builtin types", [](Program& p) { p.types.types.clear(); }},
      {"does not begin with the builtin types",
       [](Program& p) { p.types.types[2].kind = Kind::string; }},
      {"does not begin with the builtin types",
       [](Program& p) { p.types.records[0].fields.pop_back(); }},
      {"is malformed",
       [](Program& p) {
         auto self = static_cast<uint32_t>(p.types.types.size());
         p.types.types.push_back({Kind::list, self});
       }},
      {"is malformed",
       [](Program& p) {
         p.types.types.push_back({Kind::record, 99});
       }},
      {"is malformed",
       [](Program& p) {
         p.types.types.push_back({Kind::enumeration, 0});
       }},
      {"is malformed",
       [](Program& p) {
         p.types.types.push_back({Kind::json, 1});
       }},
      {"is malformed",
       [](Program& p) {
         p.types.types.push_back({Kind::integer, 3});
       }},
      {"is malformed",
       [](Program& p) {
         TypeId optional = p.types.optional_of(kTypeInt);
         p.types.types.push_back({Kind::optional, optional.index});
       }},
      {"is there twice", [](Program& p) { p.types.records[1].fields[1].name = "role"; }},
      {"has no type", [](Program& p) { p.types.records[1].fields[1].type = {999}; }},
      {"unknown labels", [](Program& p) { p.types.records[1].fields[1].labels = 64; }},
      {"a default of another type",
       [](Program& p) { p.types.records[1].fields[1].default_value = encode_value(Value()); }},
      {"a default of another type",
       [](Program& p) { p.types.records[1].fields[1].default_value = "garbage"; }},
      {"no function of one parameter",
       [](Program& p) { p.types.records[1].fields[1].where_function = kPrompt; }},
      {"no function of one parameter",
       [](Program& p) { p.types.records[1].fields[1].where_function = 999; }},
      {"has no case",
       [](Program& p) {
         p.types.enums.push_back({"Empty", {}});
       }},
      {"takes the name of the case itself",
       [](Program& p) {
         p.types.enums.push_back({"E", {{"c", {{"case", kTypeInt, {}, {}, {}, 0}}}}});
       }},
      {"constant 0 is malformed", [](Program& p) { p.constants[0] = "\x07\x05no"; }},
      {"has no record", [](Program& p) { p.events[0].record = 99; }},
      {"has no version", [](Program& p) { p.events[0].version = 0; }},
      {"has no event", [](Program& p) { p.topics[0].event = 99; }},
      {"is out of order",
       [](Program& p) {
         p.events[0].upgrades.push_back({2, 1, kTypeInt, kPrompt});
       }},
      {"has no type",
       [](Program& p) {
         p.events[0].upgrades.push_back({1, 2, {999}, kPrompt});
       }},
      {"is no function of one parameter",
       [](Program& p) {
         p.events[0].upgrades.push_back({1, 2, kTypeInt, kBody});
       }},
      {"leads nowhere",
       [](Program& p) {
         Function same;
         same.name = "same";
         same.parameters = same.registers = 1;
         same.code = {{Op::ret}};
         p.functions.push_back(same);
         const auto function = static_cast<uint32_t>(p.functions.size() - 1);
         p.events[0].upgrades.push_back({1, 7, kTypeInt, function});
       }},
      {"is ordered by", [](Program& p) { p.topics[0].order_function = kPrompt; }},
      {"has a parameter without type", [](Program& p) { p.tasks[0].parameters[0].type = {99}; }},
      {"has no result type", [](Program& p) { p.tasks[0].result = {99}; }},
      {"has no pool", [](Program& p) { p.tasks[0].pool = 9; }},
      {"unfit for a path", [](Program& p) { p.steps[0].name = "a#2"; }},
      {"has no task", [](Program& p) { p.steps[0].task = 99; }},
      {"has no attempt", [](Program& p) { p.steps[0].attempts = 0; }},
      {"a backoff that shrinks", [](Program& p) { p.steps[0].backoff_min_ms = 10; }},
      {"a backoff that shrinks", [](Program& p) { p.steps[0].backoff_factor_milli = 999; }},
      {"is hedged and may not be repeated",
       [](Program& p) {
         p.steps[0].idempotent = p.steps[0].keyed = false;
         p.steps[0].hedge_after_ms = 1;
       }},
      {"a hedge that never begins", [](Program& p) { p.steps[0].hedge_site = 0; }},
      {"is hedged by no step", [](Program& p) { hedge(p.steps[0], 99); }},
      {"with a hedge or key of its own", [](Program& p) { hedge(p.steps[0], 0); }},
      {"no function of that many parameters", [](Program& p) { p.flows[0].function = kPrompt; }},
      {"no function of that many parameters", [](Program& p) { p.flows[0].parameters.clear(); }},
      {"no fitting function for `on failure`", [](Program& p) { p.flows[0].on_failure = kUndo; }},
      {"an outcome that is no event", [](Program& p) { p.flows[0].outcomes.push_back(99); }},
      {"is triggered by no topic", [](Program& p) { p.flows[0].trigger = 99; }},
      {"does not take its topic's event", [](Program& p) { p.topics[0].event = 1; }},
      {"is there twice", [](Program& p) { p.tasks[1].name = p.tasks[0].name; }},
      {"is there twice", [](Program& p) { p.events[1].name = p.events[0].name; }},
      {"is there twice", [](Program& p) { p.flows.push_back(p.flows[0]); }},
      {"is there twice", [](Program& p) { p.pools.push_back(p.pools[0]); }},
      {"is there twice", [](Program& p) { p.topics.push_back(p.topics[0]); }},
  });
}

TEST(Verifier, names_function_and_source_line) {
  SupportProgram p;
  find(p.program, kBody, Op::notify).b = 999;
  auto result = verify(p.program);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("function `answer` (3) at"), std::string::npos);
  EXPECT_NE(result.error().message.find("support/answer.flow:38"), std::string::npos);
}

TEST(Verifier, a_register_written_on_one_way_only_is_unwritten) {
  ProgramBuilder p;
  p.function("f", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    Register r = f.allocate();
    Label skip = f.make_label();
    f.emit_jump(Op::jump_if, f.parameter(0), skip);
    f.emit_imm(Op::load_int, r, 1);
    f.bind(skip);
    f.emit(Op::ret, r);
  });
  EXPECT_FALSE(verify(p.program));
}

TEST(Verifier, a_handler_cannot_count_on_what_it_guards) {
  ProgramBuilder p;
  uint32_t step = p.site("a", p.task("work", {kTypeInt}, kTypeInt));
  p.function(
      "f", FunctionKind::branch, 1,
      [&](FunctionBuilder& f) {
        Register r = f.allocate();
        Label begin = f.make_label(), end = f.make_label();
        f.bind(begin);
        f.emit_indexed(Op::step, r, f.parameter(0), step);
        f.bind(end);
        f.emit(Op::ret, r);
        f.add_handler(begin, end, end, std::nullopt);
      },
      "f");
  EXPECT_FALSE(verify(p.program));
}

// What a handler reads is kept while the guarded step waits, though the way on does not read it.
TEST(Verifier, what_a_handler_reads_is_live_at_the_guarded_step) {
  ProgramBuilder p;
  uint32_t step = p.site("a", p.task("work", {kTypeInt}, kTypeInt));
  uint32_t index = p.function(
      "f", FunctionKind::branch, 2,
      [&](FunctionBuilder& f) {
        Register r = f.allocate(), why = f.allocate();
        Label begin = f.make_label(), end = f.make_label(), failed = f.make_label();
        f.bind(begin);
        f.emit_indexed(Op::step, r, f.parameter(0), step);
        f.bind(end);
        f.emit(Op::ret, r);
        f.bind(failed);
        f.emit(Op::concat, why, why, f.parameter(1));
        f.emit(Op::ret, why);
        f.add_handler(begin, end, failed, why);
      },
      "f");
  auto verified = verify(p.program);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ((*verified)->facts(index).suspensions[0].live, (std::vector<uint16_t>{1}));
}

TEST(Verifier, calls_may_be_deep_but_not_too_deep) {
  auto chain = [](uint32_t depth) {
    ProgramBuilder p;
    uint32_t last = p.function("f0", FunctionKind::pure, 1,
                               [](FunctionBuilder& f) { f.emit(Op::ret, f.parameter(0)); });
    for (uint32_t i = 1; i <= depth; ++i) {
      last = p.function("f" + std::to_string(i), FunctionKind::pure, 1, [&](FunctionBuilder& f) {
        f.emit_indexed(Op::call, f.parameter(0), f.parameter(0), last);
        f.emit(Op::ret, f.parameter(0));
      });
    }
    return verify(p.program).has_value();
  };
  EXPECT_TRUE(chain(kCallDepthMax));
  EXPECT_FALSE(chain(kCallDepthMax + 1));
}

TEST(Verifier, work_is_bounded) {
  // A jump per instruction and as many registers as there can be: too much to analyse, refused at
  // once.
  ProgramBuilder p;
  p.function("f", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    f.allocate(kRegistersMax - 1);
    Label end = f.make_label();
    for (int i = 0; i < 20'000; ++i) f.emit_jump(Op::jump_if, f.parameter(0), end);
    f.bind(end);
    f.emit(Op::ret_none);
  });
  auto result = verify(p.program);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("too complex"), std::string::npos);
}

}  // namespace
}  // namespace sluice::vm::testing
