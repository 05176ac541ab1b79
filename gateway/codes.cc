#include "gateway/codes.hpp"

#include <array>

namespace sluice::gateway {
namespace {

constexpr std::array kErrors = {
#define SLUICE_ERROR(name, status, retryable, text, mend) \
  ErrorRow{ErrorCode::name, #name, status, retryable, text, mend},
#include "gateway/codes.def"
};

constexpr std::array kCloses = {
#define SLUICE_CLOSE(number, name, reconnect, text) \
  CloseRow{CloseCode::name, #name, reconnect, text},
#include "gateway/codes.def"
};

}  // namespace

std::span<const ErrorRow> error_rows() {
  return kErrors;
}
std::span<const CloseRow> close_rows() {
  return kCloses;
}

const ErrorRow& row_of(ErrorCode code) {
  return kErrors[static_cast<std::size_t>(code)];
}

const CloseRow& row_of(CloseCode code) {
  for (const CloseRow& row : kCloses) {
    if (row.code == code) return row;
  }
  return kCloses[0];
}

const ErrorRow& row_of_word(std::string_view name) {
  for (const ErrorRow& row : kErrors) {
    if (row.name == name) return row;
  }
  return row_of(ErrorCode::fault);
}

}  // namespace sluice::gateway
