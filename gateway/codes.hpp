// The registry of error words and close codes (gateway/codes.def), as enums and tables.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::gateway {

enum class ErrorCode : std::uint8_t {
#define SLUICE_ERROR(name, status, retryable, text, mend) name,
#include "gateway/codes.def"
};

enum class CloseCode : std::uint16_t {
#define SLUICE_CLOSE(number, name, reconnect, text) name = number,
#include "gateway/codes.def"
};

struct ErrorRow {
  ErrorCode code;
  std::string_view name;
  unsigned status;  // of HTTP
  bool retryable;   // the same request may succeed later; its answer carries Retry-After
  std::string_view text;
  std::string_view mend;
};

struct CloseRow {
  CloseCode code;
  std::string_view name;
  bool reconnect;  // a client library reconnects by itself
  std::string_view text;
};

std::span<const ErrorRow> error_rows();
std::span<const CloseRow> close_rows();
const ErrorRow& row_of(ErrorCode code);
const CloseRow& row_of(CloseCode code);

// The row for a word that another room gave (the core's refusals); `fault` if the word is not in
// the registry.
const ErrorRow& row_of_word(std::string_view name);

}  // namespace sluice::gateway
