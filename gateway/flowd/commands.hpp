// The commands of flowd. Each returns the process's exit code: 0 done, 1 it did not hold, 2 wrong
// usage, 3 the database cannot be reached.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/config/config.hpp"

namespace sluice::gateway {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnreachable = 3;

struct DevOptions {
  std::string data = ".sluice";
  std::string listen = "127.0.0.1:8080";
};
int run_dev(const DevOptions& options, const Environment& environment);

struct ServeOptions {
  std::string config_file;  // may be empty: the environment alone
};
int run_serve(const ServeOptions& options, const Environment& environment);

struct TokenOptions {
  std::string tenant;
  std::string client;
  std::string scope = "client";
  std::string ttl = "1h";
  std::string data;  // one of the two; both empty: .sluice
  std::string config_file;
};
int run_token(const TokenOptions& options, const Environment& environment);

struct RepairOptions {
  std::string data;  // one of the two; both empty: .sluice
  std::string config_file;
  bool json = false;
  // All or none of these: the record to override.
  std::optional<std::uint32_t> partition;
  std::optional<std::uint64_t> record;
  std::string mode;  // skip, accept; empty: what cures it
  std::string why;
  std::string by;  // empty: the user who runs this
};
int run_repair(const RepairOptions& options, const Environment& environment);

struct ConfigOptions {
  std::string config_file;
  std::string format;  // "", or "table" for the Markdown of docs/operations.md
};
int run_config(const ConfigOptions& options, const Environment& environment);

// The configuration of a file (may be none) and the environment; problems are printed.
std::optional<Config> load_config(const std::string& file, const Environment& environment);

}  // namespace sluice::gateway
