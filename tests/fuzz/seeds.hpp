// First inputs of the binary targets: artifacts, snapshots, choices.
#pragma once

#include <filesystem>

namespace sluice::fuzz {

// Writes corpus/{artifact,snapshot,vm,json}/… below `corpora`.
void write_seeds(const std::filesystem::path& corpora);

}  // namespace sluice::fuzz
