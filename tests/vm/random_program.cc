#include "tests/vm/random_program.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/vm/program_fixture.hpp"
#include "vm/text.hpp"

namespace sluice::vm::testing {

std::string random_text(Random& random, size_t most) {
  std::string text;
  for (size_t n = random.below(most + 1); n > 0; --n) {
    uint32_t code = 0;
    switch (random.below(6)) {
      case 0:
        code = static_cast<uint32_t>(1 + random.below(0x1f));
        break;
      case 1:
        code = static_cast<uint32_t>(0x80 + random.below(0x780));
        break;
      case 2:
        code = static_cast<uint32_t>(0x10000 + random.below(0x100000));
        break;
      case 3:
        code = "\"\\/~{}[],:"[random.below(10)];
        break;
      default:
        code = static_cast<uint32_t>(0x20 + random.below(0x5f));
        break;
    }
    append_utf8(code, text);
  }
  return text;
}

namespace {

int64_t random_int(Random& random) {
  switch (random.below(4)) {
    case 0:
      return static_cast<int64_t>(random.bits());
    case 1:
      return random.one_in(2) ? INT64_MIN : INT64_MAX;
    default:
      return static_cast<int64_t>(random.below(200)) - 100;
  }
}

double random_float(Random& random) {
  if (random.one_in(2)) return static_cast<double>(random_int(random)) / 16;
  auto value = std::bit_cast<double>(random.bits());
  return std::isfinite(value) ? value : 0.5;
}

Value random_scalar(Random& random, Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return Value::boolean(random.one_in(2));
    case Kind::integer:
      return Value::integer(random_int(random));
    case Kind::floating:
      return Value::floating(random_float(random));
    case Kind::duration:
      return Value::duration(random_int(random));
    case Kind::timestamp:
      return Value::timestamp(random_int(random));
    case Kind::string:
      return Value::string(random_text(random, 12));
    case Kind::bytes: {
      std::string bytes;
      for (uint64_t n = random.below(10); n > 0; --n) bytes += static_cast<char>(random.bits());
      return Value::bytes(bytes);
    }
    case Kind::decimal:
      return Value::decimal(
          make_decimal(random_int(random), static_cast<int>(random.below(34))).value_or(Decimal{}));
    case Kind::json:
      return Value::json(random.one_in(2) ? "{\"a\":[1.50,null]}" : "\"x\"");
    default:
      return Value();
  }
}

std::vector<Value> random_values(Random& random, uint32_t depth) {
  std::vector<Value> items;
  for (uint64_t n = random.below(5); n > 0; --n) items.push_back(random_value(random, depth));
  return items;
}

}  // namespace

Value random_value(Random& random, uint32_t depth) {
  auto kind = static_cast<Kind>(random.below(depth == 0 ? 8 : 14));
  auto index = static_cast<uint32_t>(random.below(300));
  switch (kind) {
    case Kind::list:
      return Value::list(random_values(random, depth - 1));
    case Kind::map: {
      std::vector<std::pair<Value, Value>> entries;
      for (Value& value : random_values(random, depth - 1)) {
        entries.emplace_back(Value::string(random_text(random, 4)), std::move(value));
      }
      return Value::map(std::move(entries));
    }
    case Kind::record:
      return Value::record(index, random_values(random, depth - 1));
    case Kind::enumeration:
      return Value::enumeration(index, static_cast<uint16_t>(random.below(200)),
                                random_values(random, depth - 1));
    default:
      return random_scalar(random, kind);
  }
}

TypeTable random_types(Random& random) {
  TypeTable table;
  table.records.push_back({"Tree", {}});
  table.records.push_back({"Leaf", {}});
  table.enums.push_back({"Plain", {{"one", {}}, {"two", {}}}});
  table.enums.push_back({"Rich", {{"none_at_all", {}}, {"some", {}}}});
  TypeId tree = table.record_type(1), leaf = table.record_type(2);
  std::vector<TypeId> choices = {kTypeBool,
                                 kTypeInt,
                                 kTypeFloat,
                                 kTypeDuration,
                                 kTypeTimestamp,
                                 kTypeString,
                                 kTypeBytes,
                                 table.scalar(Kind::decimal),
                                 table.scalar(Kind::json),
                                 leaf,
                                 table.enum_type(0),
                                 table.list_of(tree),
                                 table.map_of(table.optional_of(kTypeInt)),
                                 table.enum_type(1),
                                 table.optional_of(tree),
                                 table.list_of(table.list_of(kTypeString))};
  auto fill = [&](std::vector<FieldType>& fields, uint64_t count, size_t usable) {
    for (uint64_t i = 0; i < count; ++i) {
      TypeId type = choices[random.below(usable)];
      if (random.one_in(3)) type = table.optional_of(type);
      FieldType field{"f" + std::to_string(i), type, {}, {}, {}, 0};
      if (random.one_in(4)) field.name = "\"" + random_text(random, 5) + std::to_string(i);
      if (random.one_in(4)) field.default_value = encode_value(smallest_value(table, type));
      fields.push_back(std::move(field));
    }
  };
  fill(table.records[2].fields, random.below(4), 9);
  fill(table.enums[1].cases[1].fields, 1 + random.below(3), 10);
  fill(table.records[1].fields, 1 + random.below(80), choices.size());
  return table;
}

Value random_value_of(Random& random, const TypeTable& types, TypeId id, uint32_t depth) {
  const Type& type = types[id];
  auto fields = [&](const std::vector<FieldType>& list) {
    std::vector<Value> values;
    for (const FieldType& field : list) {
      values.push_back(random_value_of(random, types, field.type, depth > 0 ? depth - 1 : 0));
    }
    return values;
  };
  uint64_t count = depth == 0 ? 0 : random.below(4);
  TypeId element{type.argument};
  switch (type.kind) {
    case Kind::optional:
      if (depth == 0 || random.one_in(2)) return Value();
      return random_value_of(random, types, element, depth - 1);
    case Kind::list: {
      std::vector<Value> items;
      for (; count > 0; --count) {
        items.push_back(random_value_of(random, types, element, depth - 1));
      }
      return Value::list(std::move(items));
    }
    case Kind::map: {
      std::vector<std::pair<Value, Value>> entries;
      for (; count > 0; --count) {
        entries.emplace_back(Value::string(random_text(random, 4)),
                             random_value_of(random, types, element, depth - 1));
      }
      return Value::map(std::move(entries));
    }
    case Kind::record:
      return Value::record(type.argument, fields(types.records[type.argument].fields));
    case Kind::enumeration: {
      const std::vector<EnumCase>& cases = types.enums[type.argument].cases;
      auto which = static_cast<uint16_t>(random.below(cases.size()));
      return Value::enumeration(type.argument, which, fields(cases[which].fields));
    }
    default:
      return random_scalar(random, type.kind);
  }
}

std::string mutated(Random& random, std::string bytes) {
  for (uint64_t n = 1 + random.below(4); n > 0; --n) {
    size_t at = random.below(bytes.size() + 1);
    switch (random.below(4)) {
      case 0:
        bytes = bytes.substr(0, at);
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random.bits()));
        break;
      case 2:
        bytes.insert(at, bytes.substr(0, random.below(20)));
        break;
      default:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random.bits());
    }
  }
  return bytes;
}

namespace {

// Registers by the kind of value they usually hold.
constexpr std::string_view kKinds = "iiiisssllmrebbfdt";

struct Template {
  Op op;
  std::string_view kinds;  // of a, b, c
};
constexpr Template kTemplates[] = {
    {Op::add_int, "iii"},   {Op::sub_int, "iii"},  {Op::mul_int, "iii"},   {Op::div_int, "iii"},
    {Op::rem_int, "iii"},   {Op::neg_int, "ii"},   {Op::add_float, "fff"}, {Op::mul_float, "fff"},
    {Op::add_time, "ddd"},  {Op::add_time, "ttd"}, {Op::mul_time, "ddi"},  {Op::not_bool, "bb"},
    {Op::equal, "bii"},     {Op::equal, "bll"},    {Op::less, "bii"},      {Op::less_equal, "bss"},
    {Op::is_none, "bs"},    {Op::move, "ii"},      {Op::move, "ll"},       {Op::concat, "sss"},
    {Op::concat, "lll"},    {Op::to_text, "si"},   {Op::to_text, "sl"},    {Op::append, "li"},
    {Op::append, "ls"},     {Op::append, "ll"},    {Op::index, "ims"},     {Op::map_put, "msi"},
    {Op::list_next, "ili"}, {Op::is_case, "be"},   {Op::get_field, "ir"},  {Op::set_field, "ri"},
    {Op::case_field, "ie"}, {Op::skip_if_less, "ii"}, {Op::skip_if_equal, "ss"},
    {Op::skip_if_case, "ei"},
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
        return Value::list(std::vector<Value>{Value::integer(1), Value::string("x")});
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
        return make();
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
      default:
        return notify();
    }
  }

  void from_template() {
    const Template& t = kTemplates[random_.below(std::size(kTemplates))];
    Register a = of(t.kinds[0]), b = of(t.kinds[1]);
    OperandKind operands = op_info(t.op)->operands;
    if (operands == OperandKind::reg_reg_field || operands == OperandKind::reg_reg_case ||
        operands == OperandKind::skip_case) {
      f_.emit_indexed(t.op, a, b, random_.one_in(40) ? 1 : 0);
    } else if (t.kinds.size() == 2) {
      f_.emit(t.op, a, b);
    } else {
      f_.emit(t.op, a, b, of(t.kinds[2]));
    }
    // What may be skipped must be there.
    if (may_skip(t.op)) f_.emit(Op::nop);
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

  void builtin() {
    auto which = static_cast<uint32_t>(random_.below(kBuiltinCount));
    static constexpr Builtin kFit[] = {Builtin::str, Builtin::encode, Builtin::to_float,
                                       Builtin::abs_int};
    if (random_.one_in(3)) {
      f_.emit_indexed(Op::builtin, {first_.index + static_cast<uint32_t>(kKinds.size())}, of('i'),
                      static_cast<uint32_t>(kFit[random_.below(4)]));
    } else if (random_.one_in(8)) {
      f_.emit_indexed(Op::builtin, any(), range(kBuiltins[which].parameter_count), which);
    }
  }

  void call() {
    if (pure_.empty()) return;
    f_.emit_indexed(Op::call, of('i'), of('i'), pure_[random_.below(pure_.size())]);
  }

  void make() {
    switch (random_.below(3)) {
      case 0:
        return f_.emit_indexed(Op::make_list, of('l'), range(3), 3);
      case 1:
        return f_.emit_indexed(Op::make_record, of('r'), of('i'), 1);
      default:
        return f_.emit_indexed(Op::make_enum, of('e'), of('i'), 0, 1);
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
    f_.emit_indexed(Op::step, of('i'), argument, site);
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

  // Site 0 takes any, site 1 asks its filter; how long is a duration, none, or nonsense.
  void receive() {
    const Register first{first_.index + static_cast<uint32_t>(kKinds.size())};
    const auto site = static_cast<uint32_t>(random_.below(2));
    f_.emit(Op::move, first, random_.one_in(40) ? of('s') : of('d'));
    if (random_.one_in(6)) f_.emit(Op::load_none, first);
    f_.emit(Op::move, {first.index + 1}, of('i'));
    f_.emit_indexed(Op::receive, of('r'), first, site);
    if (!random_.one_in(3)) f_.emit_indexed(Op::make_record, of('r'), of('i'), 1);
  }

  void notify() {
    f_.emit_notify(of('r'), 0, random_.one_in(3) ? NotifyTo::group : NotifyTo::run_client, of('s'));
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
                        {"n", 0, 0, std::nullopt, 0, filter}};
  p.flow("main", {kTypeInt}, flow,
         random.one_in(4) ? std::nullopt : std::optional<uint32_t>(handler), {0});
  return p.program;
}

}  // namespace sluice::vm::testing
