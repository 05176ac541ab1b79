// fuzz_smoke: the fuzz targets for a moment, in any build.
//
//   fuzz_smoke CORPORA [TARGET…]              replays corpora and findings, then tries mutations of
//                                             them by a fixed seed: always the same inputs
//   fuzz_smoke --long S CORPORA TARGET [SEED] goes on for S seconds of CPU time; what a target ends
//                                             the process with is in fuzz-TARGET.input
//   fuzz_smoke --input TARGET FILE            replays one input
//   fuzz_smoke --seeds CORPORA                writes the first inputs of the binary targets
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/fuzz/seeds.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/vm/random_program.hpp"

namespace sluice::fuzz {
namespace {

namespace fs = std::filesystem;
using vm::testing::Random;

constexpr std::uint64_t kSeed = 20'261'126;
constexpr int kMutations = 300;     // of each target
constexpr double kSecondsMax = 20;  // of CPU time for one input: more is a hang

std::string content(const fs::path& path) {
  std::stringstream text;
  std::ifstream file(path, std::ios::binary);
  if (!(text << file.rdbuf()) && fs::file_size(path) > 0) {
    std::fprintf(stderr, "fuzz_smoke: %s cannot be read\n", path.c_str());
    std::exit(2);
  }
  return text.str();
}

// corpus/TARGET and findings/TARGET, in the order of their names.
std::vector<std::string> inputs_of(const fs::path& corpora, std::string_view target) {
  std::vector<fs::path> files;
  for (const char* kind : {"corpus", "findings"}) {
    const fs::path folder = corpora / kind / target;
    if (!fs::exists(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const fs::path& file : files) inputs.push_back(content(file));
  return inputs;
}

// A piece of another input in the place of one of this: so that texts stay nearly right.
std::string crossed(Random& random, std::string input, const std::string& other) {
  if (input.empty() || other.empty()) return other;
  const std::size_t at = random.below(input.size()), from = random.below(other.size());
  return input.replace(at, random.below(20), other, from, random.below(40));
}

std::vector<std::string> corpus_of(const Target& target, const fs::path& corpora) {
  std::vector<std::string> inputs = inputs_of(corpora, target.name);
  if (!inputs.empty()) return inputs;
  std::fprintf(stderr, "fuzz_smoke: %s has no corpus in %s\n", std::string(target.name).c_str(),
               corpora.c_str());
  std::exit(2);
}

std::string changed(Random& random, const Target& target, const std::vector<std::string>& inputs) {
  std::string input = inputs[random.below(inputs.size())];
  if (target.mutate != nullptr && random.one_in(2)) return target.mutate(random, input);
  for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
    input = random.one_in(2)
                ? vm::testing::mutated(random, std::move(input))
                : crossed(random, std::move(input), inputs[random.below(inputs.size())]);
  }
  return input;
}

void run(const Target& target, const fs::path& corpora) {
  const std::vector<std::string> inputs = corpus_of(target, corpora);
  for (const std::string& input : inputs) target.run(input);
  Random random(kSeed);
  for (int i = 0; i < kMutations; ++i) {
    const std::string input = changed(random, target, inputs);
    if (input.size() <= target.bytes_max) target.run(input);
  }
  std::printf("%s: %zu inputs, %d mutations\n", std::string(target.name).c_str(), inputs.size(),
              kMutations);
}

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// Keeps the input that is tried in a file, so that it is there after the process has died of it.
void run_long(const Target& target, const fs::path& corpora, double seconds, std::uint64_t seed) {
  std::vector<std::string> inputs = corpus_of(target, corpora);
  const std::string file = "fuzz-" + std::string(target.name) + ".input";
  Random random(seed);
  std::uint64_t tried = 0;
  for (const double begin = cpu_seconds(); cpu_seconds() - begin < seconds; ++tried) {
    std::string input = changed(random, target, inputs);
    if (input.size() > target.bytes_max) continue;
    std::ofstream(file, std::ios::binary) << input;
    const double before = cpu_seconds();
    target.run(input);
    if (const double took = cpu_seconds() - before; took > kSecondsMax) {
      std::fprintf(stderr, "%s: an input takes %.1f s\n", file.c_str(), took);
      std::exit(1);
    }
    // Now and then a changed one is changed further.
    if (random.one_in(50)) inputs[random.below(inputs.size())] = std::move(input);
  }
  fs::remove(file);
  std::printf("%s: %lu inputs by seed %lu\n", std::string(target.name).c_str(), tried, seed);
}

const Target& target_of(std::string_view name) {
  if (const Target* target = find_target(name)) return *target;
  std::fprintf(stderr, "fuzz_smoke: there is no target `%s`\n", std::string(name).c_str());
  std::exit(2);
}

int main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 3 && arguments[0] == "--input") {
    target_of(arguments[1]).run(content(arguments[2]));
    return 0;
  }
  if (arguments.size() == 2 && arguments[0] == "--seeds") {
    write_seeds(arguments[1]);
    return 0;
  }
  if ((arguments.size() == 4 || arguments.size() == 5) && arguments[0] == "--long") {
    run_long(target_of(arguments[3]), arguments[2], std::stod(arguments[1]),
             arguments.size() == 5 ? std::stoull(arguments[4]) : kSeed);
    return 0;
  }
  if (arguments.empty()) {
    std::fprintf(stderr, "usage: fuzz_smoke CORPORA [TARGET…]\n");
    return 2;
  }
  for (std::size_t i = 1; i < arguments.size(); ++i) target_of(arguments[i]);
  for (const Target& target : targets()) {
    const bool named =
        std::find(arguments.begin() + 1, arguments.end(), target.name) != arguments.end();
    // The canary sings when it is asked to.
    if (!named && (arguments.size() > 1 || target.name == "canary")) continue;
    run(target, arguments[0]);
  }
  return 0;
}

}  // namespace
}  // namespace sluice::fuzz

int main(int argc, char** argv) {
  return sluice::fuzz::main({argv + 1, argv + argc});
}
