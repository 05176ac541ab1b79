#include "tests/vm/random_program.hpp"

#include <algorithm>

#include "tests/vm/program_fixture.hpp"

namespace sluice::vm::testing {
namespace {

// Registers by the kind of value they usually hold.
constexpr std::string_view kKinds = "iiiisssllmrebbfdtcjy";

struct Template {
  Op op;
  std::string_view kinds;  // of a, b, c
};
constexpr Template kTemplates[] = {
    {Op::add_int, "iii"},
    {Op::sub_int, "iii"},
    {Op::mul_int, "iii"},
    {Op::div_int, "iii"},
    {Op::rem_int, "iii"},
    {Op::neg_int, "ii"},
    {Op::add_float, "fff"},
    {Op::mul_float, "fff"},
    {Op::add_time, "ddd"},
    {Op::add_time, "ttd"},
    {Op::mul_time, "ddi"},
    {Op::not_bool, "bb"},
    {Op::equal, "bii"},
    {Op::equal, "bll"},
    {Op::less, "bii"},
    {Op::less_equal, "bss"},
    {Op::is_none, "bs"},
    {Op::move, "ii"},
    {Op::move, "ll"},
    {Op::concat, "sss"},
    {Op::concat, "lll"},
    {Op::to_text, "si"},
    {Op::to_text, "sl"},
    {Op::append, "li"},
    {Op::append, "ls"},
    {Op::append, "ll"},
    {Op::index, "ims"},
    {Op::map_put, "msi"},
    {Op::list_next, "ili"},
    {Op::is_case, "be"},
    {Op::get_field, "ir"},
    {Op::set_field, "ri"},
    {Op::case_field, "ie"},
    {Op::skip_if_less, "ii"},
    {Op::skip_if_equal, "ss"},
    {Op::skip_if_case, "ei"},
    {Op::add_imm, "ii"},
    {Op::mul_imm, "ii"},
    {Op::rem_imm, "ii"},
    {Op::skip_if_less_imm, "i"},
    {Op::skip_if_not_less_imm, "i"},
    {Op::skip_if_equal_imm, "i"},
    {Op::skip_if_not_equal_imm, "i"},
    {Op::skip_if_less, "ff"},
    {Op::skip_if_less_equal, "cc"},
    {Op::skip_if_not_equal, "ll"},
    {Op::sub_float, "fff"},
    {Op::div_float, "fff"},
    {Op::neg_float, "ff"},
    {Op::less, "bff"},
    {Op::add_float_const, "ff"},
    {Op::mul_float_const, "ff"},
    {Op::div_float_const, "ff"},
    {Op::const_sub_float, "ff"},
    {Op::const_div_float, "ff"},
    {Op::add_decimal, "ccc"},
    {Op::sub_decimal, "ccc"},
    {Op::mul_decimal, "cci"},
    {Op::neg_decimal, "cc"},
    {Op::sub_time, "dtt"},
    {Op::div_time, "idd"},
    {Op::neg_time, "dd"},
    {Op::concat, "yyy"},
    {Op::as_json, "jr"},
    {Op::as_json, "jl"},
    {Op::as_json, "jm"},
    {Op::as_type, "ij"},       {Op::decode_as, "is"},
    {Op::move, "mm"},
    {Op::move, "rr"},
    {Op::map_put, "mss"},
    {Op::map_put, "msl"},
    {Op::set_field, "rs"},
    {Op::append, "lm"},
    {Op::equal, "bmm"},
    {Op::not_equal, "brr"},
    {Op::index, "iii"},
    {Op::index, "ili"},
};

// Emits one function's random body.
class BodyMaker {
 public:
  BodyMaker(Random& random, ProgramBuilder& p, FunctionBuilder& f, FunctionKind kind,
            std::vector<uint32_t> pure, std::vector<uint32_t> branches, uint32_t compensation)
      : random_(random),
        p_(p),
        f_(f),
        kind_(kind),
        pure_(std::move(pure)),
        branches_(std::move(branches)),
        compensation_(compensation) {}

  void emit(uint64_t instructions) {
    first_ = f_.allocate(static_cast<uint32_t>(kKinds.size()) + kSpare);
    for (uint32_t r = 0; r < kKinds.size() + kSpare; ++r) {
      f_.emit_wide(Op::load_const, {first_.index + r},
                   p_.constants.add(of_kind(kKinds[r % kKinds.size()])));
    }
    std::vector<Label> labels;
    for (uint64_t i = 0; i < instructions; ++i) labels.push_back(f_.make_label());
    for (uint64_t i = 0; i < instructions; ++i) {
      f_.bind(labels[i]);
      one(labels, i);
    }
    bool step_before_end = kind_ != FunctionKind::pure && random_.one_in(2);
    if (step_before_end) step();
    leave();
    if (kind_ != FunctionKind::pure && random_.one_in(2)) {
      size_t begin = random_.below(labels.size()), end = random_.below(labels.size());
      if (begin < end) {
        size_t to = random_.one_in(30) ? begin : end + random_.below(labels.size() - end);
        f_.add_handler(labels[begin], labels[end], labels[to],
                       random_.one_in(2) ? std::optional<Register>(any()) : std::nullopt);
        if (random_.one_in(2)) {
          f_.add_handler(labels[0], labels[end], labels[to], timer(), Handler::kHandlerDeadline);
        }
      }
    }
  }

 private:
  static constexpr uint32_t kSpare = 3;

  Value of_kind(char kind) {
    switch (kind) {
      case 'i':
        return Value::integer(static_cast<int64_t>(random_.below(9)));
      case 's':
        return Value::string(random_text(random_, 5));
      case 'l':
        return list();
      case 'c':
        return Value::decimal({125, 2});
      case 'j':
        return Value::json(random_.one_in(2) ? "7" : "{\"a\":[1.50,null]}");
      case 'y':
        return Value::bytes("\x01\xff");
      case 'm':
        return Value::map({{Value::string("k"), Value::integer(1)}});
      case 'r':
        return Value::record(1, std::vector<Value>{Value::integer(1)});
      case 'e':
        return Value::enumeration(0, 1, std::vector<Value>{Value::integer(2)});
      case 'b':
        return Value::boolean(random_.one_in(2));
      case 'f':
        return Value::floating(0.5);
      case 'd':
        return Value::duration(10);
      default:
        return Value::timestamp(1000);
    }
  }

  // Of one kind mostly, as most builtins want them.
  Value list() {
    constexpr std::string_view kElements = "isfdtcly";
    const std::uint64_t which = random_.below(2 * kElements.size());
    if (which >= kElements.size()) {
      return Value::list(std::vector<Value>{Value::integer(1), Value::string("x")});
    }
    std::vector<Value> items;
    for (std::uint64_t n = random_.below(4); n > 0; --n) {
      items.push_back(of_kind(kElements[which]));
    }
    return Value::list(std::move(items));
  }

  Register any() {
    return {first_.index + static_cast<uint32_t>(random_.below(kKinds.size() + kSpare))};
  }
  Register of(char kind) {
    if (random_.one_in(400)) return any();
    for (;;) {
      auto r = static_cast<uint32_t>(random_.below(kKinds.size()));
      if (kKinds[r] == kind) return {first_.index + r};
    }
  }

  void one(const std::vector<Label>& labels, uint64_t at) {
    uint64_t choice = random_.below(kind_ == FunctionKind::pure ? 14 : 28);
    if (choice < 9) return from_template();
    switch (choice) {
      case 9:
      case 10:
        return jump(labels, at);
      case 11:
        return builtin();
      case 12:
        return call();
      case 13:
        return random_.one_in(2) ? make() : loop();
      case 14:
      case 15:
        return step();
      case 16:
        return parallel();
      case 17:
      case 18:
      case 19:
        return wait_or_loop();
      case 20:
        return may_register() && random_.one_in(2) ? receive() : race_or_fan();
      case 21:
      case 22:
        return send();
      default:
        return notify();
    }
  }

  void from_template() { emit(kTemplates[random_.below(std::size(kTemplates))]); }

  void emit(const Template& t) {
    const Register a = of(t.kinds[0]), b = of(t.kinds[t.kinds.size() > 1 ? 1 : 0]);
    switch (op_info(t.op)->operands) {
      case OperandKind::reg_reg_field:
      case OperandKind::reg_reg_case:
      case OperandKind::skip_case:
        f_.emit_indexed(t.op, a, b, random_.one_in(40) ? 1 : 0);
        break;
      case OperandKind::reg_reg_imm:
        f_.emit_short(t.op, a, b, small());
        break;
      case OperandKind::skip_imm:
        f_.emit_short(t.op, a, small());
        break;
      case OperandKind::reg_reg_float:
        f_.emit_indexed(t.op, a, b, p_.constants.add(Value::floating(small() / 4.0)));
        break;
      case OperandKind::reg_reg_type:
        f_.emit_indexed(t.op, a, b,
                        static_cast<uint32_t>(random_.below(p_.program.types.types.size())));
        break;
      default:
        t.kinds.size() == 2 ? f_.emit(t.op, a, b) : f_.emit(t.op, a, b, of(t.kinds[2]));
        break;
    }
    // What may be skipped must be there.
    if (may_skip(t.op)) f_.emit(Op::nop);
  }

  int16_t small() {
    if (random_.one_in(20)) return random_.one_in(2) ? INT16_MIN : INT16_MAX;
    return static_cast<int16_t>(static_cast<int>(random_.below(12)) - 3);
  }

  // A loop that ends, unless a wrong register was chosen: its body leaves its counter alone.
  void loop() {
    const bool ints = random_.one_in(2);
    const Register first = ints ? first_ : spare();
    const Register next{first.index + 1}, last{first.index + 2};
    if (ints) {
      f_.emit_imm(Op::load_int, next, small());
      f_.emit_imm(Op::load_int, last, small());
    } else {
      f_.emit_imm(Op::load_int, next, 0);
      f_.emit(Op::move, last, of('l'));
    }
    const Label top = f_.make_label(), again = f_.make_label();
    f_.emit_jump(Op::jump, again);
    f_.bind(top);
    for (uint64_t n = 1 + random_.below(3); n > 0; --n) {
      const Template& t = kTemplates[random_.below(std::size(kTemplates))];
      if (t.kinds[0] != 'i' && t.op != Op::list_next) emit(t);
    }
    f_.bind(again);
    f_.emit_jump(ints ? Op::int_loop : Op::list_loop, first, top);
  }

  void jump(const std::vector<Label>& labels, uint64_t at) {
    uint64_t to = at + 1 + random_.below(labels.size() - at);
    // Rarely back: most loops there never end.
    if (to >= labels.size() || random_.one_in(60)) to = random_.below(labels.size());
    if (to <= at && !random_.one_in(20)) return;
    static constexpr Op kJumps[] = {Op::jump_if, Op::jump_if_not, Op::jump_if_none,
                                    Op::jump_if_some};
    Op op = kJumps[random_.below(4)];
    f_.emit_jump(op, op == Op::jump_if || op == Op::jump_if_not ? of('b') : any(), labels[to]);
  }

  Register range(uint32_t count) {
    return {first_.index +
            static_cast<uint32_t>(random_.below(kKinds.size() + kSpare - count + 1))};
  }

  Register spare() const { return {first_.index + static_cast<uint32_t>(kKinds.size())}; }

  // Of which kind a value of a type in a signature is; 0 if any will do.
  static char kind_of(std::string_view type) {
    constexpr std::pair<std::string_view, char> kStarts[] = {
        {"[", 'l'},       {"{", 'm'},        {"int", 'i'},       {"string", 's'},
        {"float", 'f'},   {"duration", 'd'}, {"timestamp", 't'}, {"bool", 'b'},
        {"decimal", 'c'}, {"json", 'j'},     {"bytes", 'y'}};
    for (const auto& [start, kind] : kStarts) {
      if (type.starts_with(start)) return kind;
    }
    return 0;
  }

  void builtin() {
    const BuiltinInfo& info = kBuiltins[random_.below(kBuiltinCount)];
    std::string_view rest = info.parameters;
    for (uint32_t n = 0; n < info.parameter_count; ++n) {
      int depth = 0;
      size_t end = 0;
      for (; end < rest.size() && (depth > 0 || rest[end] != ','); ++end) {
        depth += rest[end] == '[' || rest[end] == '{' ? 1 : 0;
        depth -= rest[end] == ']' || rest[end] == '}' ? 1 : 0;
      }
      const char kind = kind_of(rest.substr(0, end));
      f_.emit(Op::move, {spare().index + n}, kind != 0 ? of(kind) : any());
      rest.remove_prefix(std::min(rest.size(), end + 2));
    }
    const char result = info.result.ends_with('?') ? '\0' : kind_of(info.result);
    f_.emit_indexed(Op::builtin, result != 0 ? of(result) : spare(), spare(),
                    static_cast<uint32_t>(info.builtin));
  }

  void call() {
    if (pure_.empty()) return;
    f_.emit_indexed(Op::call, of('i'), of('i'), pure_[random_.below(pure_.size())]);
  }

  void make() {
    switch (random_.below(6)) {
      case 0:
        return f_.emit_indexed(Op::make_list, of('l'), range(3), 3);
      case 1:
        return f_.emit_indexed(Op::make_record, of('r'), of('i'), 1);
      case 2:
        return f_.emit_indexed(Op::make_enum, of('e'), of('i'), 0, 1);
      case 3:
        return f_.emit_indexed(Op::interpolate, of('s'), range(3), 3);
      case 4:
        return f_.emit_indexed(Op::concat_all, of('s'), {first_.index + 4}, 3);
      default:
        f_.emit(Op::move, spare(), of('s'));
        f_.emit(Op::move, {spare().index + 1}, any());
        return f_.emit_indexed(Op::make_map, of('m'), spare(), 1);
    }
  }

  bool may_register() const { return kind_ == FunctionKind::flow || kind_ == FunctionKind::branch; }

  void step() {
    auto site = static_cast<uint32_t>(random_.below(p_.program.steps.size()));
    bool key = p_.program.steps[site].has_key_expr;
    Register argument = of('i');
    if (key) {
      argument = {first_.index};  // ints stand side by side: the second is the key
    }
    if (random_.one_in(4)) f_.emit_site(of('s'), site);
    if (may_register() && random_.one_in(2)) {
      f_.emit_closure(Op::arm_unsure, compensation_, of('i'), 1, site);
    }
    const bool child = p_.program.steps[site].flow.has_value();
    f_.emit_indexed(Op::step, of(child ? 'r' : 'i'), argument, site);
    if (may_register() && random_.one_in(2)) {
      f_.emit_closure(Op::on_undo, compensation_, of('i'), 1, site);
    }
  }

  void parallel() {
    if (branches_.empty()) return notify();
    uint32_t count = 1 + static_cast<uint32_t>(random_.below(3));
    for (uint32_t i = 0; i < count; ++i) {
      f_.emit_spawn(branches_[random_.below(branches_.size())], of('i'), 1);
    }
    f_.emit_join({first_.index}, random_.one_in(80) ? count + 1 : count);
  }

  // Where a deadline's timer and a mark of compensations are, mostly.
  Register timer() const { return {first_.index + 3}; }
  Register since() const { return {first_.index + 2}; }

  void wait_or_loop() {
    const uint32_t depth = random_.one_in(10) ? 1 : 0;
    switch (random_.below(7)) {
      case 0:
        return f_.emit(Op::sleep, of(random_.one_in(4) ? 't' : 'd'));
      case 1:
      case 2:
        return f_.emit(Op::start_deadline, timer(), of('d'));
      case 3:
        return f_.emit_round(random_.one_in(2) ? RoundKind::each : RoundKind::while_, depth);
      case 4:
        return f_.emit_leave(depth);
      case 5:
        return f_.emit(Op::mark, since());
      default:
        f_.emit(Op::undo, since());
        if (!random_.one_in(5)) f_.emit(Op::settle);
    }
  }

  void race_or_fan() {
    if (branches_.empty()) return notify();
    const uint32_t count = 1 + static_cast<uint32_t>(random_.below(3));
    for (uint32_t i = 0; i < count; ++i) {
      f_.emit_spawn(branches_[random_.below(branches_.size())], of('i'), 1);
    }
    if (random_.one_in(2)) {
      f_.emit_race(of('i'), random_.one_in(80) ? count + 1 : count);
      if (!random_.one_in(5)) f_.emit(Op::settle);
      return;
    }
    if (random_.one_in(2)) f_.emit(Op::slot, of('i'));
    f_.emit(Op::gather, of('l'));
  }

  // Site 0 takes any, site 1 asks its filter, site 2 is of a topic: the int behind it is what the
  // filter is asked with, or the key. How long is a duration, none, or nonsense.
  void receive() {
    const Register first = spare();
    const auto site = static_cast<uint32_t>(random_.below(3));
    f_.emit(Op::move, first, random_.one_in(40) ? of('s') : of('d'));
    if (random_.one_in(6)) f_.emit(Op::load_none, first);
    f_.emit(Op::move, {first.index + 1}, of('i'));
    f_.emit_indexed(Op::receive, of('r'), first, site);
    if (!random_.one_in(3)) f_.emit_indexed(Op::make_record, of('r'), of('i'), 1);
  }

  // What leaves the run, and what it knows of itself.
  void send() {
    switch (random_.below(6)) {
      case 0:
        return f_.emit_publish(of('r'), 0);
      case 1: {
        const bool for_client = random_.one_in(2);
        f_.emit(Op::move, spare(), of('i'));
        f_.emit(Op::move, {spare().index + 1}, of('s'));
        return f_.emit_start_run(of('s'), spare(), 0, for_client);
      }
      case 2:
        return f_.emit(Op::log, of('s'));
      case 3:
        f_.emit(Op::run_client, of('s'));
        return f_.emit(Op::run_id, of('s'));
      default:
        return f_.emit(Op::now, of('t'));
    }
  }

  void notify() {
    constexpr NotifyTo kTargets[] = {NotifyTo::run_client, NotifyTo::group, NotifyTo::client,
                                     NotifyTo::run};
    f_.emit_notify(of('r'), 0, kTargets[random_.below(4)], of('s'));
  }

  void leave() {
    switch (kind_) {
      case FunctionKind::flow:
      case FunctionKind::handler:
        return random_.one_in(4) ? f_.emit(Op::finish_bare) : f_.emit_finish(of('r'), 0);
      case FunctionKind::branch:
        if (random_.one_in(6)) return f_.emit_finish(of('r'), 0);
        [[fallthrough]];
      default:
        return random_.one_in(8) ? f_.emit(Op::fail, of('s'), of('s'))
               : random_.one_in(10)
                   ? f_.emit(kind_ == FunctionKind::pure ? Op::ret : Op::rethrow, of('r'))
                   : f_.emit(Op::ret, of(random_.one_in(3) ? 'l' : 'i'));
    }
  }

  Random& random_;
  ProgramBuilder& p_;
  FunctionBuilder& f_;
  FunctionKind kind_;
  std::vector<uint32_t> pure_;
  std::vector<uint32_t> branches_;
  uint32_t compensation_;
  Register first_;
};

}  // namespace

Program random_program(Random& random) {
  ProgramBuilder p;
  uint32_t record = p.record("N", {{"n", kTypeInt}});
  p.program.types.enums.push_back({"E", {{"a", {}}, {"b", {{"n", kTypeInt, {}, {}, {}, 0}}}}});
  p.program.types.enum_type(0);
  p.event("N", record);
  uint32_t work = p.task("work", {kTypeInt}, kTypeInt);
  p.site("a", work);
  p.site("b", work);
  p.site("c", work);
  p.program.steps[2].has_key_expr = true;
  p.site("d", 0);
  p.program.steps[3].flow = 0;
  p.program.topics.push_back({"t", 0, std::nullopt, 0, 1000, 0, std::nullopt});
  std::vector<uint32_t> pure, branches;
  auto make = [&](const char* name, FunctionKind kind, uint16_t parameters, uint64_t size,
                  uint32_t compensation, const std::string& segment) {
    return p.function(
        name, kind, parameters,
        [&](FunctionBuilder& f) {
          BodyMaker(random, p, f, kind, pure, branches, compensation).emit(1 + random.below(size));
        },
        segment);
  };
  for (int i = 0; i < 3; ++i) pure.push_back(make("pure", FunctionKind::pure, 1, 12, 0, ""));
  uint32_t undo = make("undo", FunctionKind::compensation, 1, 6, 0, "");
  for (int i = 0; i < 2; ++i) {
    uint32_t branch = make("branch", FunctionKind::branch, 1, 12, undo, i == 0 ? "left" : "a");
    branches.push_back(branch);
  }
  uint32_t flow = make("main", FunctionKind::flow, 1, 60, undo, "main");
  uint32_t handler = make("handler", FunctionKind::handler, 2, 6, 0, "");
  uint32_t filter = p.function("filter", FunctionKind::pure, 2, [](FunctionBuilder& f) {
    const Register n = f.allocate();
    f.emit_indexed(Op::get_field, n, f.parameter(0), 0);
    f.emit(Op::less, n, n, f.parameter(1));
    f.emit(Op::ret, n);
  });
  p.program.receives = {{"m", 0, 0, std::nullopt, 0, std::nullopt},
                        {"n", 0, 0, std::nullopt, 0, filter},
                        {"o", 0, 0, 0, 0, std::nullopt}};
  p.flow("main", {kTypeInt}, flow,
         random.one_in(4) ? std::nullopt : std::optional<uint32_t>(handler), {0});
  return p.program;
}

}  // namespace sluice::vm::testing
