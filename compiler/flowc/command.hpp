// What every subcommand of flowc does alike.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::flowc {

// Exit codes that scripts rely on.
inline constexpr int kDone = 0;
inline constexpr int kFindings =
    1;                            // it did not hold: errors in the program, a failed run, a refusal
inline constexpr int kUsage = 2;  // wrong arguments, a file that is not there
inline constexpr int kUnreachable = 3;  // the engine cannot be reached

#define SLUICE_COMMAND(name) void add_##name##_command(CLI::App& app, int& exit_code);
#include "compiler/flowc/commands.def"
#undef SLUICE_COMMAND

// "flowc: …" on standard error; returns `code`.
int fail(int code, const std::string& message);

// What is wrong with the arguments, and where to read on; returns kUsage.
int report_usage(const CLI::App& app, const CLI::ParseError& error);

// Whether standard output, or standard error, is a terminal that wants colours (NO_COLOR is
// heeded).
bool colour_on_output();
bool colour_on_error();

enum class Format { kText, kJson, kSarif };
// Adds `--format text|json|sarif`.
void add_format_option(CLI::App& command, Format& format);

// Text goes to standard error, so that only results are on standard output; json and sarif are the
// result.
void print_diagnostics(const compiler::Diagnostics& diagnostics, const compiler::SourceSet& sources,
                       Format format);

}  // namespace sluice::flowc
