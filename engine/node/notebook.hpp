// The poison notebook: which input each thread is applying at this moment, in a mapped file that
// outlives a crash of the process.
//
// An input that was being applied when the process died is remembered with a count. Found there
// kPoisonCrashes times, it is journaled as suspect, unapplied; found while folding, its partition
// halts. So one bad record cannot keep the process in a loop of crashes.
//
// The file is one page of fixed layout (notebook.cc), of this machine alone: it may be deleted when
// no node runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "engine/core/ids.hpp"
#include "engine/core/record.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::node {

class Notebook {
 public:
  // `directory` exists. What was under way when the file was last used is counted as a crash now.
  static tl::expected<std::unique_ptr<Notebook>, std::string> open(const std::string& directory);
  // To look things up only: nothing is counted or changed, a node may be using the file. Null:
  // there is none.
  static std::unique_ptr<Notebook> read(const std::string& directory);
  ~Notebook();
  Notebook(const Notebook&) = delete;
  Notebook& operator=(const Notebook&) = delete;

  // Names an input: partition, tenant, kind and body. The same before and after it got its seq.
  static core::Hash128 name(core::PartitionId partition, const core::Record& record);

  // It was under way in at least kPoisonCrashes crashes. Thread-safe; cheap when there was none.
  bool poisonous(const core::Hash128& input) const;

  // REQUIRES: thread < kThreads; one caller per thread number.
  void begin(unsigned thread, const core::Hash128& input);
  void end(unsigned thread);

  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRemembered = 64;

 private:
  struct Page;
  explicit Notebook(Page* page);
  void count_crashes();
  void find_poison();
  Page* page_;
  bool any_ = false;
};

}  // namespace sluice::node
