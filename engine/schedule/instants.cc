#include "engine/schedule/instants.hpp"

#include <date/tz.h>

#include <algorithm>
#include <exception>

#include "vm/cron.hpp"

namespace sluice::schedule {
namespace {

using core::TimeUs;
using Seconds = date::sys_seconds;

constexpr std::int64_t kDayS = 86'400;
// A clock that is set back shows times again; by more than this none has been in living memory.
constexpr std::chrono::seconds kSetBack = std::chrono::hours(3);

Seconds at(TimeUs us) {
  return date::floor<std::chrono::seconds>(
      date::sys_time<std::chrono::microseconds>(std::chrono::microseconds(us)));
}

TimeUs us_of(Seconds time) {
  return std::chrono::microseconds(time.time_since_epoch()).count();
}

vm::CivilMinute civil(date::local_seconds local) {
  const std::int64_t seconds = local.time_since_epoch().count();
  const std::int64_t day = (seconds >= 0 ? seconds : seconds - (kDayS - 1)) / kDayS;
  return {day, static_cast<std::uint32_t>((seconds - day * kDayS) / 60)};
}

vm::CivilMinute following(vm::CivilMinute minute) {
  if (minute.minute + 1 < kDayS / 60) return {minute.day, minute.minute + 1};
  return {minute.day + 1, 0};
}

// The instant of a local time.
Seconds resolve(const date::time_zone& zone, vm::CivilMinute minute) {
  const date::local_seconds local{
      std::chrono::seconds(minute.day * kDayS + std::int64_t{minute.minute} * 60)};
  const date::local_info info = zone.get_info(local);
  if (info.result == date::local_info::nonexistent) return info.first.end;
  return Seconds(local.time_since_epoch()) - info.first.offset;
}

std::optional<TimeUs> next_in(const date::time_zone& zone, const vm::CronPattern& pattern,
                              TimeUs after) {
  vm::CivilMinute from = civil(zone.to_local(at(after)) - kSetBack);
  while (const auto match = vm::next_match(pattern, from)) {
    const TimeUs instant = us_of(resolve(zone, *match));
    if (instant > after) return instant;
    from = following(*match);
  }
  return std::nullopt;
}

}  // namespace

std::optional<TimeUs> next_instant(const vm::Schedule& schedule, TimeUs after) {
  const auto pattern = vm::parse_cron(schedule.cron);
  if (!pattern) return std::nullopt;
  try {
    return next_in(*date::locate_zone(schedule.zone), *pattern, after);
  } catch (const std::exception&) {  // the zone is not in the database, or there is none
    return std::nullopt;
  }
}

// The windows grow, so that few instants lie between the beginning of the first that holds any and
// `until`.
std::optional<TimeUs> last_instant(const vm::Schedule& schedule, TimeUs after, TimeUs until) {
  constexpr TimeUs kHour = 3'600'000'000;
  for (const TimeUs window :
       {kHour, 24 * kHour, 31 * 24 * kHour, 366 * 24 * kHour, until - after}) {
    const TimeUs from = std::max(after, until - window);
    std::optional<TimeUs> found;
    for (auto next = next_instant(schedule, from); next && *next <= until;
         next = next_instant(schedule, *next)) {
      found = next;
    }
    if (found || from == after) return found;
  }
  return std::nullopt;
}

const std::vector<std::string>& zone_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> found;
    try {
      for (const date::time_zone& zone : date::get_tzdb().zones) found.push_back(zone.name());
    } catch (const std::exception&) {
      found.clear();
    }
    std::sort(found.begin(), found.end());
    return found;
  }();
  return names;
}

}  // namespace sluice::schedule
