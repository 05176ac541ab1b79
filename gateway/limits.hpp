// Every limit of the gateway, with its unit and its reason. Those that an operator may want to
// change are also keys of the configuration (gateway/config/schema.def); the values here are their
// defaults or their hard upper bounds.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::gateway::limits {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One WebSocket message of a client. Told in `welcome`; a whole JSON frame is held in memory once
// while it is parsed.
inline constexpr std::size_t kClientFrameBytes = 256 * 1024;
// One message of a worker: a step's result may be larger than a client's event.
inline constexpr std::size_t kWorkerFrameBytes = 4 * 1024 * 1024;
// The largest value that the configuration accepts for the two above (the engine's own payload
// limit).
inline constexpr std::size_t kFrameBytesMax = 16 * 1024 * 1024;
// Body of a publishing request, and of starting a run.
inline constexpr std::size_t kBodyBytes = 4 * 1024 * 1024;
// Body of a deployment: sources of a whole program or an artifact.
inline constexpr std::size_t kDeploymentBytes = 32 * 1024 * 1024;
// Deployments that wait for the compiler.
inline constexpr std::size_t kDeploymentsWaiting = 8;
// Files in one deployment.
inline constexpr std::size_t kDeploymentFiles = 10'000;
// How long compiling and storing a deployment may take before 503.
inline constexpr std::chrono::seconds kDeploymentTimeout{120};
// Request line and headers together.
inline constexpr std::uint32_t kHeaderBytes = 16 * 1024;
// Events in one array, NDJSON or CloudEvents batch.
inline constexpr std::size_t kBatchEvents = 10'000;

// Unaccepted sends of one client connection; the next one is `rejected busy`.
inline constexpr std::size_t kPendingSends = 1024;
// `slow` is said above this share of kPendingSends, `ok` below half of it: hysteresis, so that
// neither flaps.
inline constexpr std::size_t kSlowPercent = 75;
// What a connection told `busy` waits before it tries again.
inline constexpr std::uint32_t kBusyRetryMs = 200;
// What a caller told `unavailable` waits: about the time a private PostgreSQL needs to come back.
inline constexpr std::uint32_t kUnavailableRetryMs = 1000;

// `rejected busy` in a row before a connection that does not listen is closed with 4429.
inline constexpr std::uint64_t kFloodRejections = 20'000;

// Bytes queued for a connection beyond what the kernel took, the largest message among them not
// counted. Above: closed with 4008, the client resumes from its offset. What a session missed is
// not queued: it waits in storage until there is room.
inline constexpr std::size_t kUnsentBytes = 8 * 1024 * 1024;
// A peer that has taken none of the bytes that wait for it for this long is closed with 4008, too:
// whatever its line, a live one takes something.
inline constexpr seconds kStallTimeout{20};
// A worker's unsent tasks; its credit already bounds their number.
inline constexpr std::size_t kWorkerUnsentBytes = 64 * 1024 * 1024;
// Groups that one client socket may be subscribed to at once.
inline constexpr std::size_t kGroupsPerSocket = 64;
// Deliveries read from storage at once while a session catches up, by number and by size; a larger
// one comes alone.
inline constexpr std::uint32_t kResumePage = 500;
inline constexpr std::uint64_t kResumePageBytes = 1024 * 1024;
// A session that catches up is given more only below this many unsent bytes.
inline constexpr std::size_t kResumeUnsentBytes = 1024 * 1024;

// Pieces of live streams: sent at most this often to one socket, unless the client asks for
// another pace, 0 to kStreamPaceMax, in its hello.
inline constexpr milliseconds kStreamPace{40};
inline constexpr milliseconds kStreamPaceMax{500};
// A socket with more unsent bytes than this gets no pieces; a snapshot when it has caught up.
inline constexpr std::size_t kStreamUnsentBytes = 256 * 1024;
// Pieces gathered for one stream until they may leave; beyond it they come as a snapshot.
inline constexpr std::size_t kStreamGatherBytes = 64 * 1024;
// How often a socket without room is looked at again.
inline constexpr milliseconds kStreamRoomWait{100};
// Sessions without a socket of which it is remembered what streams they saw begin.
inline constexpr std::size_t kToldSessions = 16'384;
// Runs that one socket may watch.
inline constexpr std::size_t kWatchesPerSocket = 1000;

// Credit that a worker may grant; above, the frame is taken as this.
inline constexpr std::uint32_t kCreditMax = 100'000;
// Reports of one worker's socket that are not settled yet; beyond, it is a flood.
inline constexpr std::size_t kPendingReports = 200'000;
// Results of one socket's reports that are kept until they are settled, to be reported again while
// their partition is not served. One beyond it is left to the end of its lease.
inline constexpr std::size_t kKeptReportBytes = 64 * 1024 * 1024;
// How long such a report waits; doubles from the first to the second.
inline constexpr milliseconds kReportRetryMin{250};
inline constexpr milliseconds kReportRetryMax{2'000};
// Task names in one worker's hello.
inline constexpr std::size_t kWorkerTasks = 1000;
// Leases in one `reclaim`.
inline constexpr std::size_t kWorkerReclaims = 100'000;

// Protocol strings, in bytes (protocols.md: `id` 1 to 200, `correlation` 1 to 128 visible ASCII).
inline constexpr std::size_t kIdBytes = 200;
inline constexpr std::size_t kCorrelationBytes = 128;
inline constexpr std::size_t kNameBytes = 200;
// Of `failed`; longer ones are cut. No name of a language is as long as a kind that was.
inline constexpr std::size_t kKindBytes = 128;
inline constexpr std::size_t kMessageBytes = 4096;
// The longest gap that a worker may ask for before the next attempt: 30 days; fits 32 bits.
inline constexpr std::uint64_t kRetryAfterMsMax = 30ull * 86'400'000;
inline constexpr std::size_t kTokenBytes = 8192;
inline constexpr std::size_t kLeaseBytes = 512;

// First frame after the upgrade (4408).
inline constexpr seconds kHelloTimeout{10};
// A WebSocket ping is sent after this much silence; no byte for twice as long closes the socket.
inline constexpr seconds kPingInterval{20};
// After a close frame was sent: how long the peer's own close frame is waited for.
inline constexpr seconds kCloseTimeout{2};
// What is under way of an oversize message is read and dropped for this long, so that the error can
// be read.
inline constexpr seconds kDrainTimeout{2};
// A request's headers and body must arrive within this.
inline constexpr seconds kRequestTimeout{30};
// An idle keep-alive connection.
inline constexpr seconds kIdleTimeout{75};
// `?wait` at most.
inline constexpr seconds kWaitMax{60};
// Long poll of workers at most.
inline constexpr milliseconds kPollMax{30'000};
// Even a poll that does not want to wait is open this long: tasks are pushed to it, not looked up.
inline constexpr milliseconds kPollMin{50};
// A polling worker that has not polled for this long is gone.
inline constexpr seconds kPollIdle{120};
// Tasks in one poll at most.
inline constexpr std::size_t kPollTasks = 1000;
// A comment on an idle SSE stream.
inline constexpr seconds kSseComment{15};
// How long a node's answer to a request is waited for before 503.
inline constexpr seconds kAnswerTimeout{30};

// Lists.
inline constexpr std::size_t kPageDefault = 100;
inline constexpr std::size_t kPageMax = 1000;

// Sockets of one process: beyond it, accept waits. Each costs about 2 KB here plus the kernel's
// buffers.
inline constexpr std::size_t kConnections = 50'000;
// Connections admitted per second, so that a restart is no stampede; the backlog of the listener
// holds the others.
inline constexpr std::size_t kAdmissionsPerSecond = 5'000;
// Bytes read from one socket before the others get their turn.
inline constexpr std::size_t kReadBytes = 256 * 1024;

// Verified tokens kept, so that RS256 and ES256 (0.5 ms each) are paid once per token.
inline constexpr std::size_t kTokenCache = 20'000;
inline constexpr seconds kTokenLeeway{5};

}  // namespace sluice::gateway::limits
