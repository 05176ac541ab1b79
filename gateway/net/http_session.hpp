// One HTTP/1.1 connection: requests in, one at a time, each an Exchange for the router. Beast stays
// behind this header.
#pragma once

namespace sluice::gateway {

class Shard;

// Takes over a connected socket. On the shard's thread.
void start_http_session(Shard& shard, int socket);
// Connections now held by HTTP sessions of the process.
int http_sessions();

}  // namespace sluice::gateway
