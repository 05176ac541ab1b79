// Compiles a small program and runs it with scripted answers of its steps.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vm/run.hpp"
#include "vm/verifier.hpp"

namespace sluice::compiler::testing {

// The verified program of one file, module `play`; fails the test, with every diagnostic, if it
// does not compile. Warnings are fine.
std::shared_ptr<const vm::VerifiedProgram> compile_text(std::string_view text);

// "error E0301 3:7 expected …", one line per finding of the files {path, text}.
std::string findings(const std::vector<std::pair<std::string, std::string>>& files);

// The value of `fn it() -> TYPE = EXPR` after `declarations`, as the language writes it, or
// "Fault: …".
std::string value_of(std::string_view type, std::string_view expr,
                     std::string_view declarations = "");

// Plays flow 0 of the text. `arguments` is a JSON object of its parameters by name. Each line of
// the script settles one open step: "PATH = JSON", "PATH ! KIND" (failed), "PATH ? KIND" (failed,
// and may have happened), "PATH . cancel" cancels the run, "N ^ fire" lets timer N be
// up, "EVENT < JSON" is a signal that the run takes, "EVENT # JSON" one that it does not. Between
// any two inputs the run goes through a snapshot. Answers what the run commanded, one command per
// line.
std::string play(std::string_view text, std::string_view arguments,
                 const std::vector<std::string>& script);

}  // namespace sluice::compiler::testing
