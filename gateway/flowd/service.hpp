// A gateway and a node, together, for as long as the process serves: what `dev` and `serve` share.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/node/node.hpp"
#include "gateway/config/config.hpp"
#include "gateway/net/gateway.hpp"

namespace sluice::gateway {

struct Address {
  std::string host;
  std::uint16_t port = 0;
};
// HOST:PORT, [IPv6]:PORT or :PORT. Nothing if it is none.
std::optional<Address> parse_address(std::string_view text);

// The options of both, from the values in force; database, state directory and keys are left to the
// caller.
GatewayOptions gateway_options(const Config& config, const Address& address);
node::NodeConfig node_config(const Config& config);

// Adds the keys that the configuration names. Error: a sentence that names the key or file.
tl::expected<KeySet, std::string> load_keys(const Config& config);

// Blocks SIGINT and SIGTERM in this thread and those it makes. Call before any thread exists.
void block_signals();
// Waits for SIGINT or SIGTERM.
int wait_for_signal();

// Starts the node, prints `ready …` and serves until a signal comes. `gateway` is bound. A signal
// that comes while the node still starts ends the process with code 0 after `abandon` has stopped
// what must not be left running. Returns the exit code.
int serve_until_signal(Gateway& gateway, node::NodeConfig config,
                       const std::function<void()>& abandon);

void set_up_log(const std::string& level);

}  // namespace sluice::gateway
