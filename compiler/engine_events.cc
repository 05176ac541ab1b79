#include "compiler/engine_events.hpp"

#include <fmt/format.h>

#include "vm/engine_events.hpp"

namespace sluice::compiler {

bool is_engines(const ir::RecordDef& event) {
  return event.is_event && event.module != nullptr && event.module->is_standard;
}

std::string wire_name(const ir::RecordDef& event) {
  if (!is_engines(event)) return event.name;
  std::string text(vm::kEngineEvents);
  for (const char letter : event.name) {
    const bool capital = letter >= 'A' && letter <= 'Z';
    text += capital ? static_cast<char>(letter - 'A' + 'a') : letter;
  }
  return text;
}

bool refuse_engines(const ir::RecordDef& event, Span span, Diagnostics& diagnostics) {
  if (!is_engines(event)) return false;
  diagnostics.report(Code::E0450, span, fmt::format("nobody but the engine sends `{}`", event.name))
      .because("it says what the engine knows of a client; flows can `receive` it");
  return true;
}

}  // namespace sluice::compiler
