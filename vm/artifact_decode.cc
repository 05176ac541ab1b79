#include <algorithm>

#include "vm/artifact.hpp"
#include "vm/artifact_sections.hpp"
#include "vm/text.hpp"
#include "vm/wire.hpp"

namespace sluice::vm {
namespace {

using Code = ArtifactError::Code;

constexpr uint64_t kTimeMsMax = uint64_t{100} * 365 * 86'400'000;  // a hundred years

// Reads one artifact. Every list says how long it may be, and each element takes at least one byte
// of input, so memory is bounded by the input.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : reader_(bytes) {}

  tl::expected<Program, ArtifactError> run() {
    header();
    section(Section::sources, "sources",
            [&] { program_.sources = strings(kTableMax, kNameBytesMax); });
    section(Section::types, "types", [&] { types(); });
    section(Section::constants, "constants",
            [&] { program_.constants = strings(kConstantsMax, kValueBytesMax); });
    section(Section::functions, "functions", [&] { functions(); });
    section(Section::events, "events", [&] { events(); });
    section(Section::topics, "topics", [&] { topics(); });
    section(Section::pools, "pools", [&] { pools(); });
    section(Section::tasks, "tasks", [&] { tasks(); });
    section(Section::flows, "flows", [&] { flows(); });
    section(Section::steps, "steps", [&] { steps(); });
    section(Section::receives, "receives", [&] { receives(); });
    if (!error_ && !reader_.at_end()) refuse(Code::malformed, "bytes behind the last section");
    if (error_) return tl::unexpected(std::move(*error_));
    return std::move(program_);
  }

 private:
  void refuse(Code code, std::string message) {
    reader_.fail();
    if (!error_) error_ = ArtifactError{code, std::move(message)};
  }

  // Turns a failed read into an error that names where it was.
  bool check(std::string_view where) {
    if (error_) return false;
    if (reader_.failed()) {
      refuse(Code::malformed,
             "malformed " + std::string(where) + " at byte " + std::to_string(reader_.offset()));
      return false;
    }
    return true;
  }

  void header() {
    reader_.string_of(kArtifactMagic.size());
    uint64_t format = reader_.number();
    if (!check("header")) return;
    if (format != kArtifactFormat) {
      return refuse(Code::unsupported, "artifact format " + std::to_string(format) +
                                           " is not known here (this is format " +
                                           std::to_string(kArtifactFormat) + ")");
    }
    uint64_t isa = reader_.number();
    program_.features = strings(kTableMax, kNameBytesMax);
    if (!check("header")) return;
    if (isa != kIsa) {
      return refuse(Code::unsupported, "instruction set " + std::to_string(isa) +
                                           " is not known here (this is " + std::to_string(kIsa) +
                                           ")");
    }
    program_.isa = static_cast<uint16_t>(isa);
    for (const std::string& feature : program_.features) {
      if (std::find(std::begin(kFeatures), std::end(kFeatures), feature) == std::end(kFeatures)) {
        return refuse(Code::unsupported,
                      "the program needs `" + feature + "`, which this engine does not execute");
      }
    }
  }

  template <class Body>
  void section(Section number, std::string_view name, Body body) {
    if (error_) return;
    uint8_t found = reader_.u8();
    uint64_t length = reader_.number();
    if (!check(name)) return;
    if (found != static_cast<uint8_t>(number) || length > reader_.remaining()) {
      return refuse(Code::malformed, "section `" + std::string(name) + "` expected at byte " +
                                         std::to_string(reader_.offset()));
    }
    size_t end = reader_.offset() + length;
    body();
    if (!check("section `" + std::string(name) + "`")) return;
    if (reader_.offset() != end) {
      refuse(Code::malformed,
             "section `" + std::string(name) + "` has another length than it says");
    }
  }

  // Length of a list of `what`; 0 after an error.
  size_t count(uint64_t most, const char* what) {
    uint64_t n = reader_.number();
    if (reader_.failed()) return 0;
    if (n > most) {
      refuse(Code::too_large, std::to_string(n) + " " + what + ", at most " + std::to_string(most));
      return 0;
    }
    if (n > reader_.remaining()) reader_.fail();
    return reader_.failed() ? 0 : n;
  }

  // Fills a list; stops at the first error.
  template <class Item, class Each>
  void list(std::vector<Item>& items, uint64_t most, const char* what, Each each) {
    size_t n = count(most, what);
    for (size_t i = 0; i < n && !reader_.failed(); ++i) {
      items.emplace_back();
      each(items.back());
    }
  }

  std::string text(size_t most = kNameBytesMax) {
    std::string_view bytes = reader_.string();
    if (reader_.failed()) return {};
    if (bytes.size() > most) {
      refuse(Code::too_large, "a name of " + std::to_string(bytes.size()) + " bytes, at most " +
                                  std::to_string(most));
    } else if (!valid_text(bytes)) {
      reader_.fail();
    }
    return reader_.failed() ? std::string() : std::string(bytes);
  }

  std::vector<std::string> strings(uint64_t most, size_t most_bytes) {
    std::vector<std::string> items;
    list(items, most, "entries", [&](std::string& item) {
      item = most_bytes == kNameBytesMax ? text() : std::string(reader_.string(most_bytes));
    });
    return items;
  }

  uint32_t number(uint64_t most = UINT32_MAX) {
    return static_cast<uint32_t>(reader_.number_up_to(most));
  }
  std::optional<uint32_t> optional_number() {
    uint64_t value = reader_.number_up_to(uint64_t{UINT32_MAX} + 1);
    if (value == 0) return std::nullopt;
    return static_cast<uint32_t>(value - 1);
  }
  bool flag() {
    uint8_t value = reader_.u8();
    if (value > 1) reader_.fail();
    return value == 1;
  }

  void fields(std::vector<FieldType>& fields) {
    list(fields, kFieldsMax, "fields", [&](FieldType& field) {
      field.name = text();
      field.type = {number()};
      if (flag()) field.default_value = std::string(reader_.string(kValueBytesMax));
      field.where_function = optional_number();
      field.where_text = text(kWhereBytesMax);
      field.labels = reader_.u8();
    });
  }

  void types() {
    TypeTable& table = program_.types;
    table.types.clear();
    table.records.clear();
    list(table.types, kTypesMax, "types", [&](Type& type) {
      uint8_t kind = reader_.u8();
      if (kind > static_cast<uint8_t>(Kind::optional)) reader_.fail();
      type = {static_cast<Kind>(kind), number()};
    });
    list(table.records, kRecordsMax, "records", [&](RecordType& record) {
      record.name = text();
      fields(record.fields);
    });
    list(table.enums, kRecordsMax, "enums", [&](EnumType& enumeration) {
      enumeration.name = text();
      list(enumeration.cases, kEnumCasesMax, "cases", [&](EnumCase& which) {
        which.name = text();
        fields(which.fields);
      });
    });
  }

  void functions() {
    list(program_.functions, kFunctionsMax, "functions", [&](Function& function) {
      function.name = text();
      uint8_t kind = reader_.u8();
      if (kind > static_cast<uint8_t>(FunctionKind::handler)) reader_.fail();
      function.kind = static_cast<FunctionKind>(kind);
      function.parameters = static_cast<uint16_t>(number(kRegistersMax));
      function.registers = static_cast<uint16_t>(number(kRegistersMax));
      function.segment = text();
      code(function.code);
      list(function.handlers, kHandlersMax, "handlers", [&](Handler& handler) {
        handler.begin_pc = number();
        handler.end_pc = number();
        handler.handler_pc = number();
        handler.failure_register = static_cast<uint16_t>(number(kNoRegister));
        handler.flags = reader_.u8();
      });
      lines(function.lines);
    });
  }

  void code(std::vector<Instruction>& code) {
    size_t n = count(kCodeMax, "instructions");
    if (n * 8 > reader_.remaining()) reader_.fail();
    if (reader_.failed()) return;
    code.reserve(n);
    auto operand = [&] {
      uint16_t low = reader_.u8();
      return static_cast<uint16_t>(low | reader_.u8() << 8);
    };
    for (size_t i = 0; i < n; ++i) {
      Instruction instruction;
      uint8_t op = reader_.u8();
      instruction.op = static_cast<Op>(op);
      instruction.x = reader_.u8();
      instruction.a = operand();
      instruction.b = operand();
      instruction.c = operand();
      if (op_info(op) == nullptr) {
        return refuse(Code::malformed, "unknown instruction " + std::to_string(op));
      }
      code.push_back(instruction);
    }
  }

  void lines(std::vector<LineEntry>& lines) {
    uint64_t pc = 0;
    list(lines, kCodeMax, "line entries", [&](LineEntry& line) {
      pc += number();
      if (pc > kCodeMax) reader_.fail();
      line.pc = static_cast<uint32_t>(pc);
      line.source = number();
      line.line = number();
      line.column = number();
    });
  }

  void parameters(std::vector<Parameter>& parameters) {
    list(parameters, kFieldsMax, "parameters", [&](Parameter& parameter) {
      parameter.name = text();
      parameter.type = {number()};
    });
  }

  Per per() {
    const uint8_t number = reader_.u8();
    if (number > static_cast<uint8_t>(Per::key)) reader_.fail();
    return static_cast<Per>(number);
  }

  void limit(std::optional<RateLimit>& into) {
    if (!flag()) return;
    RateLimit& made = into.emplace();
    made.count = reader_.number_up_to(kRateMax);
    made.per_ms = reader_.number_up_to(kTimeMsMax);
    made.burst = reader_.number_up_to(kRateMax);
    made.per = per();
    made.key_function = optional_number();
  }

  void concurrency(std::optional<Concurrency>& into) {
    if (!flag()) return;
    Concurrency& made = into.emplace();
    made.runs = number();
    const uint8_t overload = reader_.u8();
    if (overload > static_cast<uint8_t>(Overload::joins)) reader_.fail();
    made.overload = static_cast<Overload>(overload);
    made.waiting = number();
    made.per = per();
    made.key_function = optional_number();
  }

  void schedule(std::optional<Schedule>& into) {
    if (!flag()) return;
    Schedule& made = into.emplace();
    made.cron = text();
    made.zone = text();
  }

  void breaker(std::optional<Breaker>& into) {
    if (!flag()) return;
    Breaker& made = into.emplace();
    made.percent = number();
    made.calls = number();
    made.within_ms = reader_.number_up_to(kTimeMsMax);
    made.cooldown_ms = reader_.number_up_to(kTimeMsMax);
  }

  void events() {
    list(program_.events, kTableMax, "events", [&](EventInfo& event) {
      event.name = text();
      event.version = number();
      event.record = number();
      list(event.upgrades, kUpgradesMax, "upgrades", [&](EventUpgrade& upgrade) {
        upgrade.from = number();
        upgrade.to = number();
        upgrade.type = {number()};
        upgrade.function = number();
      });
    });
  }

  void topics() {
    list(program_.topics, kTableMax, "topics", [&](TopicInfo& topic) {
      topic.name = text();
      topic.event = number();
      topic.order_function = optional_number();
      topic.dedupe_ms = reader_.number_up_to(kTimeMsMax);
      topic.retain_ms = reader_.number_up_to(kTimeMsMax);
      topic.ttl_ms = reader_.number_up_to(kTimeMsMax);
      limit(topic.limit);
    });
  }

  void pools() {
    list(program_.pools, kTableMax, "pools", [&](PoolInfo& pool) {
      pool.name = text();
      pool.slots = number();
    });
  }

  void tasks() {
    list(program_.tasks, kTableMax, "tasks", [&](TaskInfo& task) {
      task.name = text();
      parameters(task.parameters);
      task.result = {number()};
      task.pool = number();
      task.kinds = strings(kTableMax, kNameBytesMax);
    });
  }

  void flows() {
    list(program_.flows, kTableMax, "flows", [&](FlowInfo& flow) {
      flow.name = text();
      parameters(flow.parameters);
      flow.function = number();
      flow.on_failure = optional_number();
      list(flow.outcomes, kTableMax, "outcomes", [&](uint32_t& event) { event = number(); });
      flow.trigger = optional_number();
      flow.timeout_ms = reader_.number_up_to(kTimeMsMax);
      flow.ttl_ms = reader_.number_up_to(kTimeMsMax);
      concurrency(flow.concurrency);
      schedule(flow.schedule);
      limit(flow.limit);
    });
  }

  void steps() {
    list(program_.steps, kTableMax, "step sites", [&](StepSite& step) {
      step.name = text();
      step.task = number();
      step.timeout_ms = reader_.number_up_to(kTimeMsMax);
      step.within_ms = reader_.number_up_to(kTimeMsMax);
      step.queue_ms = reader_.number_up_to(kTimeMsMax);
      step.heartbeat_ms = reader_.number_up_to(kTimeMsMax);
      step.attempts = number();
      step.backoff_min_ms = reader_.number_up_to(kTimeMsMax);
      step.backoff_max_ms = reader_.number_up_to(kTimeMsMax);
      step.backoff_factor_milli = number();
      step.retry_on = strings(kTableMax, kNameBytesMax);
      uint64_t flags = reader_.number_up_to(kStepFlagsAll);
      for (const StepFlag& flag : kStepFlags) step.*flag.member = (flags & flag.bit) != 0;
      step.flow = optional_number();
      step.outcomes = optional_number();
      step.hedge_after_ms = reader_.number_up_to(kTimeMsMax);
      step.hedge_site = optional_number();
      step.priority = reader_.u8();
      breaker(step.breaker);
    });
  }

  void receives() {
    list(program_.receives, kTableMax, "receive sites", [&](ReceiveSite& site) {
      site.name = text();
      site.flow = number();
      site.event = number();
      site.topic = optional_number();
      site.key_field = number();
      site.filter = optional_number();
    });
  }

  wire::Reader reader_;
  Program program_;
  std::optional<ArtifactError> error_;
};

}  // namespace

std::vector<std::string> unexecuted_features(const Program& program) {
  std::vector<std::string> found;
  for (const std::string& feature : program.features) {
    const auto* end = std::end(kExecutedFeatures);
    if (std::find(std::begin(kExecutedFeatures), end, feature) == end) found.push_back(feature);
  }
  return found;
}

tl::expected<Program, ArtifactError> decode_artifact(std::string_view bytes) {
  constexpr size_t kHashBytes = sizeof(Sha256);
  if (!bytes.starts_with(kArtifactMagic)) {
    return tl::unexpected(ArtifactError{Code::not_an_artifact, "this is not a Sluice artifact"});
  }
  if (bytes.size() > kArtifactBytesMax) {
    return tl::unexpected(
        ArtifactError{Code::too_large, "the artifact has " + std::to_string(bytes.size()) +
                                           " bytes, at most " + std::to_string(kArtifactBytesMax)});
  }
  std::string_view body = bytes.substr(0, bytes.size() - std::min(bytes.size(), kHashBytes));
  if (body.size() < kArtifactMagic.size() || sha256(body) != artifact_hash(bytes)) {
    return tl::unexpected(ArtifactError{
        Code::bad_checksum, "the artifact's checksum is wrong: it was cut short or altered"});
  }
  return Decoder(body).run();
}

}  // namespace sluice::vm
