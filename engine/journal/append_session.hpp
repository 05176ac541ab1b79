// The connection on which one apply thread appends: asynchronous, one batch in flight, driven by
// the thread's own poll loop.
//
//     closed ──connect()──▶ connecting ──▶ idle ──append(batch)──▶ busy ──▶ idle
//        ▲                                   └──resolve(parts)───▶ busy ──▶ idle
//        └────────── any failure of the connection ◀────────────────┘
//
// What became of a batch is told by the events of step():
//   appended   the statement committed; `passed` are the partitions that are in, all others are
//   lost to this owner refused    the statement failed and changed nothing, or it failed because an
//   earlier copy of it is in: resolve() tells which broken     the connection is gone and the
//   outcome unknown: connect(), then resolve() resolved   per partition, where its journal ends and
//   under which epoch it stands: compare with the batch (judge())
//
// Not thread-safe.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/journal/append.hpp"
#include "engine/journal/database.hpp"

namespace sluice::journal {

// How the journal of a partition stands now.
struct Standing {
  core::PartitionId partition{};
  std::uint64_t epoch = 0;
  Tip tip;
};

// What that means for a batch whose outcome is unknown.
enum class Verdict : std::uint8_t {
  committed,  // it is in
  absent,     // it is not, and may be sent again
  lost,       // the partition is another owner's, or its tail is gone
};
// One verdict per part of the batch, in its order. A statement commits as a whole: if one part is
// in, parts that are not in are lost.
std::vector<Verdict> judge(const std::vector<BatchPart>& parts,
                           const std::vector<Standing>& standings);

class AppendSession {
 public:
  struct Connected {
    ServerFacts facts;
    core::TimeUs database_time = 0;
  };
  struct Appended {
    std::vector<core::PartitionId> passed;
    core::TimeUs database_time = 0;  // when the statement was about to commit
  };
  struct Refused {
    DatabaseError error;
  };
  struct Broken {
    DatabaseError error;
  };
  struct Resolved {
    std::vector<Standing> standings;
  };
  using Event = std::variant<std::monostate, Connected, Appended, Refused, Broken, Resolved>;

  // `application` names the owner's boot: a node that takes over ends the backends of that name.
  AppendSession(std::string target, std::string application);

  enum class State : std::uint8_t { closed, connecting, idle, busy };
  State state() const { return state_; }

  // What to poll for; -1 when closed.
  int fd() const;
  short events() const;

  // REQUIRES: closed. Ends the backend of the previous connection, if it still runs, before
  // Connected is told.
  void connect();
  // REQUIRES: idle; `batch` is sealed and stays as it is until the answer came.
  void append(Batch& batch);
  void resolve(const std::vector<core::PartitionId>& partitions);
  void close();

  // Goes as far as it can without waiting. Call when fd() is ready, until it returns monostate.
  Event step();

 private:
  enum class Step : std::uint8_t { none, opening, checking, preparing, appending, resolving };
  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };

  Event fail(DatabaseError::Kind kind, std::string message);
  Event open_on();
  Event read_result();
  Event finish_step();
  Event finish_check();
  Event finish_append();
  Event finish_resolve();
  bool send_append();
  void send_check();

  std::string target_;
  std::string application_;
  std::unique_ptr<PGconn, Finish> connection_;
  State state_ = State::closed;
  Step step_ = Step::none;
  PostgresPollingStatusType opening_ = PGRES_POLLING_FAILED;
  std::optional<Rows> rows_;
  std::optional<DatabaseError> error_;
  std::vector<std::string> prepared_;
  Batch* batch_ = nullptr;
  RowTypes types_;
  std::string statement_;
  std::int32_t previous_pid_ = 0;
  std::string previous_start_;
};

}  // namespace sluice::journal
