// What had already left a partition when a person overrode one of its records: the rows of
// `delivery`, and the messages that other partitions took. The fold of the stretch that the
// override covers may come to another state than the one that let them go; what left stands, and
// the fold is brought in line with it at the stretch's end (Partition::rejoin).
//
// Stored with the override (table `override`, column `departed`): versioned, only added to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/ids.hpp"

namespace sluice::core {

// On the way to one partition.
struct TakenMessages {
  std::uint64_t last = 0;   // the greatest number; 0: none is known
  std::vector<Seq> causes;  // the records from the stretch's first on that sent them, one each
};

struct Departed {
  struct Client {
    ClientNumber number = 0;
    TenantId tenant{};
    std::string name;
    std::uint64_t offset = 0;  // its greatest
    Seq seq = 0;               // the record of that delivery
  };
  std::vector<Client> clients;  // by number
  struct Way {
    PartitionId destination{};
    TakenMessages taken;
  };
  std::vector<Way> ways;
};

std::string encode(const Departed& departed);
std::optional<Departed> decode_departed(std::string_view bytes);

}  // namespace sluice::core
