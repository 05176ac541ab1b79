#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "vm/disasm.hpp"

namespace sluice::vm {
namespace {

// docs/bytecode.md is made from the tables; UPDATE_GOLDEN=1 writes it.
TEST(Reference, page_is_what_the_tables_say) {
  const std::string path = SLUICE_SOURCE_DIR "/docs/bytecode.md";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << bytecode_reference();
    return;
  }
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  EXPECT_EQ(content.str(), bytecode_reference())
      << path << " is stale: run this test with UPDATE_GOLDEN=1";
}

}  // namespace
}  // namespace sluice::vm
