// Compiles deployed sources on a thread of its own, so that ten megabytes of them stop no socket.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "gateway/net/publish.hpp"

namespace sluice::gateway {

struct CompiledSources {
  std::string artifact;          // empty: there are errors
  std::string diagnostics_json;  // an array; warnings too
  std::size_t errors = 0;
};

// Sources by path. Pure.
CompiledSources compile_sources(const std::map<std::string, std::string>& sources);

class DeploymentCompiler {
 public:
  using Done = std::function<void(CompiledSources)>;  // on the compiler's thread

  DeploymentCompiler();
  ~DeploymentCompiler();  // finishes the compilation under way, drops the others

  // False: kDeploymentsWaiting are waiting already.
  bool submit(std::map<std::string, std::string> sources, Done done);

 private:
  struct Job {
    std::map<std::string, std::string> sources;
    Done done;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::gateway
