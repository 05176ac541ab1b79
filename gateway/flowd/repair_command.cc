// `flowd repair`: which partitions have halted, why, and the override that lets one go on.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "engine/node/repair.hpp"
#include "gateway/flowd/commands.hpp"
#include "gateway/flowd/data_directory.hpp"
#include "gateway/flowd/private_postgres.hpp"
#include "gateway/flowd/service.hpp"
#include "vm/json.hpp"

namespace sluice::gateway {
namespace {

int fail(const std::string& message, int code = kExitUsage) {
  fmt::print(stderr, "flowd: {}\n", message);
  return code;
}

int fail(const node::StartError& error) {
  const bool gone = error.kind == node::StartError::Kind::unreachable;
  return fail(error.message, gone ? kExitUnreachable : kExitFailed);
}

// Where the partitions are, for as long as it lives: a private PostgreSQL that does not run is
// started for the while.
struct Place {
  std::string database;
  std::string state_dir;
  std::string option;  // that names it on the command line
  std::unique_ptr<DataDirectory> directory;
  std::unique_ptr<PrivatePostgres> postgres;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

tl::expected<Place, std::string> place_of_data(const std::string& data) {
  const std::string path = std::filesystem::absolute(data).lexically_normal().string();
  if (access((path + "/postgres/PG_VERSION").c_str(), F_OK) != 0) {
    return tl::unexpected(fmt::format(
        "{} is no data directory of `flowd dev`: say which with --data or --config", path));
  }
  const auto user = choose_postgres_user();
  if (!user) return tl::unexpected(user.error());
  Place place;
  place.option = "--data " + data;
  place.state_dir = path;
  const PrivatePostgresOptions options{.directory = path,
                                       .user = *user,
                                       .binaries = variable("SLUICE_PG_BIN"),
                                       .preload = variable("SLUICE_PG_PRELOAD")};
  tl::expected<std::unique_ptr<PrivatePostgres>, std::string> postgres;
  if (in_use(path)) {
    postgres = PrivatePostgres::attach(options);
  } else {
    auto opened = DataDirectory::open(path, *user);
    if (!opened) return tl::unexpected(opened.error());
    place.directory = std::make_unique<DataDirectory>(std::move(*opened));
    postgres = PrivatePostgres::start(options, [](const std::string&) {});
  }
  if (!postgres) return tl::unexpected(postgres.error());
  place.postgres = std::move(*postgres);
  place.database = place.postgres->connection();
  return place;
}

tl::expected<Place, std::string> place_of_config(const std::string& file, const Config& config) {
  Place place;
  place.database = config.text("database.url");
  if (place.database.empty()) return tl::unexpected(std::string("`database.url` is missing"));
  place.state_dir = config.text("node.state_dir");
  place.option = "--config " + file;
  return place;
}

std::string user_name() {
  const std::string sudo = variable("SUDO_USER");
  if (!sudo.empty()) return sudo;
  const passwd* user = getpwuid(getuid());
  return user != nullptr ? user->pw_name : fmt::format("uid {}", getuid());
}

// What is wrong with the options; empty: nothing.
std::string wrong_with(const RepairOptions& options) {
  if (!options.data.empty() && !options.config_file.empty())
    return "give either --data or --config";
  if (!options.partition && !options.record) {
    if (!options.mode.empty() || !options.why.empty() || !options.by.empty())
      return "--mode, --why and --by go with --partition and --record";
    return {};
  }
  if (!options.partition) return "--record goes with --partition";
  if (!options.record) return "--partition goes with --record: which record is to be overridden?";
  if (*options.record == 0) return "records are counted from 1";
  if (options.why.find_first_not_of(" \t\r\n") == std::string::npos)
    return "--why is missing: the reason is kept with the override";
  return {};
}

std::string json_text(std::string_view text) {
  std::string out;
  vm::append_json_string(text, out);
  return out;
}

std::string what_to_do(const Place& place, const node::FoldReport& report) {
  const journal::Damage& damage = *report.damage;
  if (!damage.cure) {
    return "no override mends that: put the database back to a backup (docs/operations.md)";
  }
  std::string advice =
      fmt::format("flowd repair {} --partition {} --record {} --mode {} --why …", place.option,
                  number(report.partition), damage.seq, journal::override_word(*damage.cure));
  if (damage.first < damage.seq) {
    advice += fmt::format(" (or --mode skip and the record, if you know which of {} to {} it is)",
                          damage.first, damage.seq);
  }
  return advice;
}

std::string text_of(const Place& place, const node::FoldReport& report) {
  const auto partition = number(report.partition);
  if (!report.damage) {
    return fmt::format("partition {}: ok, {} records folded\n", partition, report.records);
  }
  return fmt::format("partition {}: halted at record {}: {}; to do: {}\n", partition,
                     report.damage->seq, report.damage->message, what_to_do(place, report));
}

std::string fate_of(const node::Overridden& what) {
  if (what.mode == journal::OverrideMode::accept) return "what comes of it now is taken";
  if (what.rejected) return "it counts as rejected, and its id is free again";
  if (what.dead_letters.empty()) return "it is passed over";
  std::string runs;
  for (const auto& run : what.dead_letters) runs += (runs.empty() ? "" : ", ") + to_text(run);
  return runs == to_text(core::RunId{}) ? "it is a dead letter"
                                        : fmt::format("run {} is a dead letter", runs);
}

std::string json_of(const Place& place, const node::FoldReport& report) {
  std::string out = fmt::format(R"({{"partition":{},"state":"{}")", number(report.partition),
                                report.damage ? "halted" : "ok");
  if (report.damage) {
    const journal::Damage& damage = *report.damage;
    out += fmt::format(R"(,"record":{},"first":{},"why":{},"cure":{},"to_do":{})", damage.seq,
                       damage.first, json_text(damage.message),
                       damage.cure ? json_text(journal::override_word(*damage.cure)) : "null",
                       json_text(what_to_do(place, report)));
  } else {
    out += fmt::format(R"(,"checkpoint":{},"records":{})", report.checkpoint, report.records);
  }
  out += R"(,"overridden":[)";
  bool first = true;
  for (const auto& what : report.overridden) {
    out += fmt::format(R"({}{{"record":{},"kind":{},"mode":"{}","became":{}}})",
                       std::exchange(first, false) ? "" : ",", what.seq, json_text(what.kind),
                       journal::override_word(what.mode), json_text(fate_of(what)));
  }
  return out + "]}";
}

int survey(node::Repair& repair, const Place& place, bool json) {
  bool halted = false;
  if (json) fmt::print(R"({{"partitions":[)");
  for (unsigned i = 0; i < repair.partitions(); ++i) {
    const auto report = repair.fold(static_cast<core::PartitionId>(i));
    if (!report) return fail(report.error());
    halted = halted || report->damage;
    if (json) {
      fmt::print("{}{}", i == 0 ? "" : ",", json_of(place, *report));
    } else {
      fmt::print("{}", text_of(place, *report));
    }
  }
  if (json) fmt::print("]}}\n");
  return halted ? kExitFailed : kExitDone;
}

int override_record(node::Repair& repair, const Place& place, const RepairOptions& options) {
  if (*options.partition >= repair.partitions()) {
    return fail(fmt::format("there is no partition {}: they are 0 to {}", *options.partition,
                            repair.partitions() - 1));
  }
  node::RepairRequest request;
  request.partition = static_cast<core::PartitionId>(*options.partition);
  request.record = *options.record;
  if (options.mode == "skip") request.mode = journal::OverrideMode::skip;
  if (options.mode == "accept") request.mode = journal::OverrideMode::accept;
  request.why = options.why;
  request.by = options.by.empty() ? user_name() : options.by;
  const auto report = repair.override_record(request);
  if (!report) return fail(report.error());
  if (options.json) {
    fmt::print("{}\n", json_of(place, *report));
  } else {
    for (const auto& what : report->overridden) {
      if (what.seq == request.record)
        fmt::print("record {} ({}) is overridden: {}\n", what.seq, what.kind, fate_of(what));
    }
    fmt::print("{}", text_of(place, *report));
    if (!report->damage) {
      fmt::print("A running flowd takes it up within two seconds, any other at its start.\n");
    }
  }
  return report->damage ? kExitFailed : kExitDone;
}

}  // namespace

int run_repair(const RepairOptions& options, const Environment& environment) {
  if (const std::string wrong = wrong_with(options); !wrong.empty()) return fail(wrong);
  tl::expected<Place, std::string> place;
  if (options.config_file.empty()) {
    place = place_of_data(options.data.empty() ? ".sluice" : options.data);
  } else {
    const auto config = load_config(options.config_file, environment);
    if (!config) return kExitUsage;
    place = place_of_config(options.config_file, *config);
  }
  if (!place) return fail(place.error(), kExitFailed);
  auto repair = node::Repair::open(place->database, place->state_dir);
  if (!repair) return fail(repair.error());
  const int code = options.record ? override_record(**repair, *place, options)
                                  : survey(**repair, *place, options.json);
  repair->reset();
  return code;
}

}  // namespace sluice::gateway
