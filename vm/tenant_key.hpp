#pragma once

#include <string_view>

namespace sluice::vm {

// The ordering key of all events of a topic that is `order by tenant`. Runs that count per tenant
// count in the partition where that is ordered, too: stored, in that where they live follows from
// it.
inline constexpr std::string_view kTenantKey = "concurrency per tenant";

}  // namespace sluice::vm
