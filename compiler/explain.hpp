// What flows come to, for people and programs: worst cases, what undoes what, what clients may
// hear. The same figures that the analyses judge by (compiler/analyse/worst.hpp).
#pragma once

#include <string>

#include "compiler/ir.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

// One section for each flow of the given files, those of the standard library left out.
// REQUIRES: the program was checked without errors.
std::string explain_text(const ir::Program& program, const SourceSet& sources);

// The same as one JSON object and a line end; docs/schemas/explain.schema.json says its form.
std::string explain_json(const ir::Program& program, const SourceSet& sources);

}  // namespace sluice::compiler
