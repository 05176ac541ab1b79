# cmake -DOUT=FILE.cc -DDIR=stdlib -P embed.cmake: the standard modules as one C++ file.
file(GLOB files RELATIVE ${DIR} ${DIR}/*.flow)
list(SORT files)
set(rows "")
set(count 0)
foreach(file ${files})
  file(READ ${DIR}/${file} text)
  string(REGEX REPLACE "\\.flow$" "" name ${file})
  string(APPEND rows "    {\"std.${name}\", \"std/${file}\", R\"FLOW(${text})FLOW\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUT}
"#include <cstddef>

#include \"compiler/stdlib.hpp\"

namespace sluice::compiler {

extern const StandardModule kStandardModules[];
extern const std::size_t kStandardModuleCount;

const StandardModule kStandardModules[] = {
${rows}};
const std::size_t kStandardModuleCount = ${count};

}  // namespace sluice::compiler
")
