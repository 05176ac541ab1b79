#include "tests/fuzz/mutators.hpp"

#include <cctype>
#include <vector>

#include "tests/fuzz/drive.hpp"
#include "vm/artifact.hpp"
#include "vm/hash.hpp"

namespace sluice::fuzz {
namespace {

using vm::testing::Random;

struct Piece {
  std::size_t begin = 0;
  std::size_t end = 0;
};

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Words and single signs; what is between them is in none.
std::vector<Piece> tokens(const std::string& text) {
  std::vector<Piece> found;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) continue;
    Piece piece{at, at + 1};
    while (in_word(text[at]) && piece.end < text.size() && in_word(text[piece.end])) ++piece.end;
    found.push_back(piece);
    at = piece.end - 1;
  }
  return found;
}

std::vector<Piece> lines(const std::string& text) {
  std::vector<Piece> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    found.push_back({at, end});
    at = end;
  }
  return found;
}

std::string text_of(const std::string& text, Piece piece) {
  return text.substr(piece.begin, piece.end - piece.begin);
}

template <class T>
void change(Random& random, T& number, std::uint64_t small) {
  switch (random.below(4)) {
    case 0:
      ++number;
      return;
    case 1:
      --number;
      return;
    case 2:
      number = static_cast<T>(random.below(small));
      return;
    default:
      number = static_cast<T>(random.bits());
  }
}

template <class T>
void change(Random& random, std::optional<T>& number, std::uint64_t small) {
  if (number && random.one_in(3)) {
    number.reset();
  } else {
    T value = number.value_or(0);
    change(random, value, small);
    number = value;
  }
}

void change_code(Random& random, vm::Function& function) {
  if (function.code.empty()) return;
  vm::Instruction& i = function.code[random.below(function.code.size())];
  switch (random.below(8)) {
    case 0:
      i.op = vm::kOps[random.below(vm::kOpCount)].op;
      return;
    case 1:
      return change(random, i.x, 4);
    case 2:
      return change(random, i.a, function.registers + 1U);
    case 3:
      return change(random, i.b, function.registers + 1U);
    case 4:
      return change(random, i.c, function.registers + 1U);
    case 5:
      i = function.code[random.below(function.code.size())];
      return;
    case 6:
      function.code.insert(function.code.begin() + static_cast<long>(&i - function.code.data()), i);
      return;
    default:
      if (function.handlers.empty() || random.one_in(3)) {
        const auto pc = static_cast<std::uint32_t>(random.below(function.code.size()));
        function.handlers.push_back({pc / 2, pc + 1, pc, vm::kNoRegister, 1});
        return;
      }
      vm::Handler& handler = function.handlers[random.below(function.handlers.size())];
      change(random, random.one_in(2) ? handler.begin_pc : handler.handler_pc, 16);
      change(random, handler.failure_register, function.registers + 1U);
      return;
  }
}

void change_step(Random& random, vm::StepSite& step) {
  switch (random.below(6)) {
    case 0:
      return change(random, step.task, 4);
    case 1:
      return change(random, step.flow, 2);
    case 2:
      return change(random, step.outcomes, 2);
    case 3:
      return change(random, step.hedge_site, 4);
    case 4:
      step.has_key_expr = !step.has_key_expr;
      return;
    default:
      return change(random, step.attempts, 4);
  }
}

void change_flow(Random& random, vm::FlowInfo& flow) {
  switch (random.below(4)) {
    case 0:
      return change(random, flow.function, 8);
    case 1:
      return change(random, flow.on_failure, 8);
    case 2:
      return change(random, flow.trigger, 2);
    default:
      flow.outcomes.push_back(static_cast<std::uint32_t>(random.below(3)));
  }
}

void change_types(Random& random, vm::TypeTable& types) {
  if (!types.types.empty() && random.one_in(2)) {
    vm::Type& type = types.types[random.below(types.types.size())];
    if (random.one_in(2)) type.kind = static_cast<vm::Kind>(random.below(18));
    return change(random, type.argument, types.types.size() + 1);
  }
  if (types.records.empty()) return;
  vm::RecordType& record = types.records[random.below(types.records.size())];
  if (record.fields.empty()) return;
  vm::FieldType& field = record.fields[random.below(record.fields.size())];
  if (random.one_in(2)) return change(random, field.where_function, 8);
  change(random, field.type.index, types.types.size() + 1);
}

void change_receive(Random& random, vm::ReceiveSite& site) {
  switch (random.below(4)) {
    case 0:
      return change(random, site.filter, 8);
    case 1:
      return change(random, site.topic, 2);
    case 2:
      return change(random, site.event, 3);
    default:
      return change(random, site.key_field, 3);
  }
}

void change_program(Random& random, vm::Program& program) {
  switch (random.below(16)) {
    case 0:
      if (!program.steps.empty()) {
        change_step(random, program.steps[random.below(program.steps.size())]);
      }
      return;
    case 1:
      if (!program.flows.empty()) {
        change_flow(random, program.flows[random.below(program.flows.size())]);
      }
      return;
    case 2:
      return change_types(random, program.types);
    case 3:
      if (!program.receives.empty()) {
        change_receive(random, program.receives[random.below(program.receives.size())]);
      }
      return;
    case 4:
      if (!program.constants.empty()) {
        program.constants[random.below(program.constants.size())] =
            vm::encode_value(vm::testing::random_value(random, 3));
      }
      return;
    case 5:
      if (!program.functions.empty()) {
        vm::Function& function = program.functions[random.below(program.functions.size())];
        function.kind = static_cast<vm::FunctionKind>(random.below(5));
        change(random, function.parameters, 4);
      }
      return;
    default:
      if (!program.functions.empty()) {
        change_code(random, program.functions[random.below(program.functions.size())]);
      }
  }
}

// The state of the program after some inputs.
std::string another_state(Random& random, std::uint8_t number) {
  constexpr std::size_t kHash = 8;
  const auto program = program_of(number);
  std::string bytes;
  drive_flow(random, program, static_cast<int>(random.below(8)), &bytes);
  if (bytes.size() > kHash) bytes.resize(bytes.size() - kHash);
  return static_cast<char>(number) + bytes;
}

}  // namespace

std::string mutated_source(Random& random, const std::string& input) {
  std::string text = input;
  for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
    const std::vector<Piece> pieces = random.one_in(3) ? lines(text) : tokens(text);
    if (pieces.empty()) return text;
    const Piece at = pieces[random.below(pieces.size())];
    const std::string other = text_of(text, pieces[random.below(pieces.size())]);
    switch (random.below(4)) {
      case 0:
        text.erase(at.begin, at.end - at.begin);
        break;
      case 1:
        text.insert(at.begin, other + " ");
        break;
      default:
        text.replace(at.begin, at.end - at.begin, other);
        break;
    }
  }
  return text;
}

std::string mutated_artifact(Random& random, const std::string& input) {
  constexpr std::size_t kSum = sizeof(vm::Sha256);
  std::string bytes = input;
  const vm::Sha256 sum = vm::sha256(bytes);
  bytes.append(reinterpret_cast<const char*>(sum.data()), sum.size());
  auto program = vm::decode_artifact(bytes);
  if (!program) return vm::testing::mutated(random, input);
  for (std::uint64_t n = 1 + random.below(4); n > 0; --n) change_program(random, *program);
  bytes = vm::encode_artifact(*program);
  bytes.resize(bytes.size() - kSum);
  return bytes;
}

std::string mutated_snapshot(Random& random, const std::string& input) {
  if (input.empty() || random.one_in(8)) {
    return another_state(random, static_cast<std::uint8_t>(random.below(kPrograms)));
  }
  std::string bytes = input.substr(1);
  bytes = vm::testing::mutated(random, std::move(bytes));
  return input[0] + bytes;
}

}  // namespace sluice::fuzz
