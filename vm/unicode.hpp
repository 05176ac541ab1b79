#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// What the builtins need to know of Unicode: simple case mappings and white space (property
// White_Space), of a fixed version, without locale.
namespace sluice::vm {

std::string lower_text(std::string_view text);  // REQUIRES: valid UTF-8
std::string upper_text(std::string_view text);
std::string_view trim_text(std::string_view text);

}  // namespace sluice::vm
