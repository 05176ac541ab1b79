// Events that only the engine sends: those that standard modules declare.
#pragma once

#include <string>

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"

namespace sluice::compiler {

bool is_engines(const ir::RecordDef& event);

// What the event is called on the wire: its name, or, of the engine's, "sluice.away".
std::string wire_name(const ir::RecordDef& event);

// Reports an event that a program cannot send, where it says that it does; false: it can.
bool refuse_engines(const ir::RecordDef& event, Span span, Diagnostics& diagnostics);

}  // namespace sluice::compiler
