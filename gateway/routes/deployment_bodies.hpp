// Sources of a deployment out of a request's body. Pure; fuzzed.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "gateway/net/publish.hpp"

namespace sluice::gateway {

using Sources = std::map<std::string, std::string>;  // text by path

// multipart/form-data (the path is the part's name, or its filename where the name is no path of a
// source) or a JSON map of path to text.
tl::expected<Sources, InputError> read_sources(std::string_view content_type,
                                               std::string_view body);

}  // namespace sluice::gateway
