// A refused report: made again while its partition is away, turned into a failure where it cannot
// be taken, and never the end of anything else.
#include "gateway/net/pending_reports.hpp"

#include <gtest/gtest.h>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

using std::chrono::milliseconds;
using Then = PendingReports::Then;

const node::Refusal kAway{"unavailable", "the partition is not served here", 500};
const node::Refusal kTooLarge{"too_large", "the result is too large", 0};

node::ReportRequest done(std::size_t bytes) {
  node::ReportRequest request;
  request.outcome = node::ReportDone{std::string(bytes, 'r')};
  return request;
}

TEST(PendingReports, OneWhosePartitionIsAwayIsMadeAgainEverLessOften) {
  PendingReports reports;
  const auto token = reports.add("lease", done(10)).value();
  PendingReports::Time now{};
  milliseconds waited{0};
  for (milliseconds gap = limits::kReportRetryMin; waited < milliseconds(10'000);) {
    ASSERT_EQ(reports.refused(token, kAway, now), Then::kWait);
    EXPECT_TRUE(reports.due(now + gap - milliseconds(1)).empty());
    now += gap;
    waited += gap;
    ASSERT_EQ(reports.due(now), std::vector<std::uint64_t>{token});
    EXPECT_TRUE(reports.due(now).empty()) << "it is under way";
    const node::ReportRequest again = reports.next(token);
    EXPECT_EQ(again.reply.token, token);
    EXPECT_EQ(std::get<node::ReportDone>(again.outcome).result.size(), 10u);
    gap = std::min(2 * gap, limits::kReportRetryMax);
  }
  EXPECT_EQ(reports.release(token), "lease");
  EXPECT_EQ(reports.release(token), "");
}

TEST(PendingReports, OneThatIsAnsweredWhileItWaitsIsNotMadeAgain) {
  PendingReports reports;
  const auto token = reports.add("lease", done(1)).value();
  ASSERT_EQ(reports.refused(token, kAway, {}), Then::kWait);
  EXPECT_EQ(reports.release(token), "lease");
  EXPECT_TRUE(reports.due(PendingReports::Time::max()).empty());
}

TEST(PendingReports, WhatTheEngineCannotTakeIsTheAttemptsFailure) {
  PendingReports reports;
  const auto token = reports.add("lease", done(1)).value();
  ASSERT_EQ(reports.refused(token, kTooLarge, {}), Then::kAgain);
  const node::ReportRequest failure = reports.next(token);
  const auto& failed = std::get<node::ReportFailed>(failure.outcome);
  EXPECT_EQ(failed.kind, "Invalid");
  EXPECT_EQ(failed.message, kTooLarge.message);
  EXPECT_FALSE(failed.retry);
  EXPECT_EQ(reports.refused(token, kAway, {}), Then::kWait);
  EXPECT_EQ(reports.refused(token, kTooLarge, {}), Then::kStale);
}

TEST(PendingReports, ResultsAreKeptUpToABound) {
  PendingReports reports;
  const auto large = reports.add("large", done(limits::kKeptReportBytes)).value();
  const auto more = reports.add("more", done(1)).value();
  EXPECT_EQ(reports.refused(more, kAway, {}), Then::kForget);
  EXPECT_EQ(reports.release(more), "more");
  EXPECT_EQ(reports.release(large), "large");
  const auto now_kept = reports.add("again", done(limits::kKeptReportBytes)).value();
  EXPECT_EQ(reports.refused(now_kept, kAway, {}), Then::kWait);
}

TEST(PendingReports, NoMessageIsTooLongForTheEngine) {
  const std::string cut = cut_message(std::string(limits::kMessageBytes - 1, 'm') + "é and more");
  EXPECT_EQ(cut, std::string(limits::kMessageBytes - 1, 'm'));
  EXPECT_EQ(cut_message("short"), "short");
}

}  // namespace
}  // namespace sluice::gateway
