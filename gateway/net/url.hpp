// Targets of requests: percent-decoding and taking apart. Pure; fuzzed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::gateway {

// Splits `/a/b%20c?x=1&y` into decoded segments and pairs. False: no path, a bad escape, U+0000 or
// not UTF-8.
bool parse_target(std::string_view target, std::vector<std::string>& path,
                  std::vector<std::pair<std::string, std::string>>& query);

// False on a bad escape. `plus_is_space` for queries.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& out);

}  // namespace sluice::gateway
