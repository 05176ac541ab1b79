# cmake -DIN=FILE -DOUT=FILE.cc -P embed.cmake: the artifact of the workload as a C++ file.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT}
"#include <cstddef>

namespace sluice::sim {

extern const unsigned char kWorkloadArtifact[];
extern const std::size_t kWorkloadArtifactSize;

const unsigned char kWorkloadArtifact[] = {
${bytes}};
const std::size_t kWorkloadArtifactSize = sizeof kWorkloadArtifact;

}  // namespace sluice::sim
")
