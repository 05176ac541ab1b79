#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"
#include "vm/limits.hpp"

// What goes wrong inside a run, and the small effects.
namespace sluice::vm::testing {
namespace {

Value text(const char* t) {
  return Value::string(t);
}

// A flow whose body is given, with one int parameter.
struct BodyProgram : ProgramBuilder {
  uint32_t work, site_a, event_n, record_n, undo;
  explicit BodyProgram(const std::function<void(BodyProgram&, FunctionBuilder&)>& body) {
    record_n = record("N", {{"n", kTypeInt}});
    event_n = event("N", record_n);
    work = task("work", {kTypeInt}, kTypeInt);
    site_a = site("a", work);
    undo = function("undo", FunctionKind::compensation, 1,
                    [&](FunctionBuilder& f) { f.emit(Op::ret_none); });
    uint32_t main = function(
        "main", FunctionKind::flow, 1, [&](FunctionBuilder& f) { body(*this, f); }, "main");
    flow("main", {kTypeInt}, main, std::nullopt, {event_n});
  }
  std::string begin() {
    Driver d(verified(), 0, {Value::integer(1)});
    d.begin();
    std::string log = d.log();
    const Finish* finish = d.commands.empty() ? nullptr : std::get_if<Finish>(&d.commands.back());
    return log + (finish != nullptr && finish->why ? finish->why->message : "");
  }
};

TEST(Faults, endless_loops_run_out_of_fuel) {
  BodyProgram p([](BodyProgram&, FunctionBuilder& f) {
    Label again = f.make_label();
    f.bind(again);
    f.emit_jump(Op::jump, again);
  });
  EXPECT_EQ(p.begin(),
            "finish failed nothing why Fault\n"
            "out of fuel: the run computes too long without waiting");
}

TEST(Faults, a_handler_inside_its_own_range_ends_too) {
  BodyProgram p([](BodyProgram&, FunctionBuilder& f) {
    Label begin = f.make_label(), end = f.make_label();
    f.bind(begin);
    f.emit(Op::add_int, f.allocate(), f.parameter(0), f.parameter(0));
    f.emit(Op::neg_float, f.allocate(), f.parameter(0));
    f.emit_jump(Op::jump, begin);
    f.bind(end);
    f.emit(Op::finish_bare);
    f.add_handler(begin, end, begin, std::nullopt);
  });
  EXPECT_EQ(p.begin().find("finish failed nothing why Fault\n"), 0U);
}

TEST(Faults, growing_values_stop_at_the_limit) {
  BodyProgram p([](BodyProgram& b, FunctionBuilder& f) {
    Register s = b.constant(f, Value::string("abcdefgh"));
    Label again = f.make_label();
    f.bind(again);
    f.emit(Op::concat, s, s, s);
    f.emit_jump(Op::jump, again);
  });
  EXPECT_NE(p.begin().find("too large"), std::string::npos);
}

TEST(Faults, nesting_stops_at_the_limit) {
  BodyProgram p([](BodyProgram&, FunctionBuilder& f) {
    Label again = f.make_label();
    f.bind(again);
    f.emit_indexed(Op::make_list, f.parameter(0), f.parameter(0), 1);
    f.emit_jump(Op::jump, again);
  });
  EXPECT_NE(p.begin().find("nested too deeply"), std::string::npos);
}

TEST(Faults, too_many_branches) {
  BodyProgram p([](BodyProgram& b, FunctionBuilder& f) {
    uint32_t leaf = b.function(
        "leaf", FunctionKind::branch, 0, [](FunctionBuilder& g) { g.emit(Op::ret_none); }, "leaf");
    Label again = f.make_label();
    f.bind(again);
    f.emit_spawn(leaf, f.parameter(0), 0);
    f.emit_jump(Op::jump, again);
  });
  EXPECT_NE(p.begin().find("branches at once"), std::string::npos);
}

TEST(Faults, too_many_compensations) {
  BodyProgram p([](BodyProgram& b, FunctionBuilder& f) {
    Label again = f.make_label();
    f.bind(again);
    f.emit_closure(Op::on_undo, b.undo, f.parameter(0), 1, b.site_a);
    f.emit_jump(Op::jump, again);
  });
  EXPECT_NE(p.begin().find("1000 compensations"), std::string::npos);
}

TEST(Faults, a_run_that_holds_too_much) {
  BodyProgram p([](BodyProgram& b, FunctionBuilder& f) {
    Register s = b.constant(f, Value::string("abcdefgh"));
    for (int i = 0; i < 20; ++i) f.emit(Op::concat, s, s, s);  // 8 MB
    Register many = f.allocate(8);
    for (uint32_t i = 0; i < 8; ++i) f.emit(Op::move, {many.index + i}, s);
    f.emit_indexed(Op::step, f.allocate(), f.parameter(0), b.site_a);
    f.emit_indexed(Op::concat_all, many, many, 8);
    f.emit(Op::finish_bare);
  });
  std::string log = p.begin();
  EXPECT_NE(log.find("start main/a"), std::string::npos);
  EXPECT_NE(log.find("cancel 1"), std::string::npos);
  EXPECT_NE(log.find("holds more than"), std::string::npos);
}

TEST(Faults, of_effects_name_what_is_wrong) {
  struct Row {
    const char* message;
    std::function<void(BodyProgram&, FunctionBuilder&)> body;
  };
  const Row rows[] = {
      {"argument `p0` of step `a` is not of its type",
       [](BodyProgram& b, FunctionBuilder& f) {
         Register s = b.constant(f, text("no int"));
         f.emit_indexed(Op::step, s, s, b.site_a);
         f.emit(Op::finish_bare);
       }},
      {"what is sent as `N` is not of its type",
       [](BodyProgram& b, FunctionBuilder& f) { f.emit_finish(f.parameter(0), b.event_n); }},
      {"what is sent as `N`/n is not of its type",
       [](BodyProgram& b, FunctionBuilder& f) {
         Register s = b.constant(f, text("no int"));
         f.emit_indexed(Op::make_record, s, s, b.record_n);
         f.emit_notify(s, b.event_n);
         f.emit(Op::finish_bare);
       }},
      {"the target of `notify` is no string",
       [](BodyProgram& b, FunctionBuilder& f) {
         Register n = f.allocate();
         f.emit_indexed(Op::make_record, n, f.parameter(0), b.record_n);
         f.emit_notify(n, b.event_n, NotifyTo::group, f.parameter(0));
         f.emit(Op::finish_bare);
       }},
      {"a join of 2 branches, of which there are 0",
       [](BodyProgram&, FunctionBuilder& f) {
         f.emit_join(f.allocate(2), 2);
         f.emit(Op::finish_bare);
       }},
      {"the key of step `a` has 0 bytes, of 1 to 512",
       [](BodyProgram& b, FunctionBuilder& f) {
         b.program.steps[b.site_a].has_key_expr = true;
         Register pair = f.allocate(2);
         f.emit(Op::move, pair, f.parameter(0));
         f.emit_wide(Op::load_const, {pair.index + 1}, b.constants.add(text("")));
         f.emit_indexed(Op::step, pair, pair, b.site_a);
         f.emit(Op::finish_bare);
       }},
  };
  for (const Row& row : rows) {
    BodyProgram p(row.body);
    EXPECT_EQ(p.begin(), std::string("finish failed nothing why Fault\n") + row.message);
  }
}

TEST(Effects, keys_targets_and_identity) {
  BodyProgram p([](BodyProgram& b, FunctionBuilder& f) {
    b.program.steps[b.site_a].has_key_expr = true;
    Register n = f.allocate(), who = f.allocate(), pair = f.allocate(2);
    f.emit_indexed(Op::make_record, n, f.parameter(0), b.record_n);
    f.emit(Op::run_id, who);
    f.emit_notify(n, b.event_n, NotifyTo::client, who);
    f.emit(Op::move, pair, f.parameter(0));
    f.emit_imm(Op::load_int, {pair.index + 1}, 42);
    f.emit_indexed(Op::step, pair, pair, b.site_a);
    f.emit(Op::finish_bare);
  });
  EXPECT_EQ(p.begin(), "notify N { n: 1 } to run1\nstart main/a work(1) key 42\n");
}

TEST(Effects, a_join_of_branches_that_are_done_does_not_wait) {
  BodyProgram p([](BodyProgram& b, FunctionBuilder& f) {
    uint32_t leaf = b.function(
        "leaf", FunctionKind::branch, 1,
        [](FunctionBuilder& g) { g.emit(Op::ret, g.parameter(0)); }, "leaf");
    Register out = f.allocate(3);
    for (int i = 0; i < 3; ++i) f.emit_spawn(leaf, f.parameter(0), 1);
    f.emit_join(out, 3);
    f.emit_join(f.allocate(0), 0);
    f.emit(Op::add_int, out, out, {out.index + 1});
    f.emit(Op::add_int, out, out, {out.index + 2});
    f.emit_indexed(Op::make_record, out, out, b.record_n);
    f.emit_finish(out, b.event_n);
  });
  EXPECT_EQ(p.begin(), "finish completed N { n: 3 }\n");
}

}  // namespace
}  // namespace sluice::vm::testing
