// base64url without padding (RFC 4648, 5), as JWTs and keys use it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::gateway {

std::string base64url_encode(std::string_view bytes);
// nullopt: a character outside the alphabet, padding, an impossible length, or bits set behind the
// end (so each byte string has exactly one form).
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace sluice::gateway
