// One client's connection: requests in, replies out, in order, as one coroutine.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>

#include "server/router.h"
#include "server/server.h"

namespace fathom::server {

// What all connections of a server share; it outlives them.
struct ConnectionContext {
  const ServerOptions& options;
  const Router& router;
  boost::asio::thread_pool& work;  // where requests are read and prompts rendered, so that no socket waits for it
  boost::asio::ssl::context* tls = nullptr;  // for connections under TLS
  Metrics& metrics;
  std::atomic<int> streams = 0;        // answers being sent
  std::atomic<bool> stopping = false;  // requests are refused from now on
};

class Connection {
 public:
  virtual ~Connection() = default;
  // Both on any thread. finish: close when the reply that is being sent is through. drop: close at once.
  virtual void finish() = 0;
  virtual void drop() = 0;
};

// The socket's executor must be a strand. `closed` is called once, on it, when the connection is over.
std::shared_ptr<Connection> start_connection(boost::asio::ip::tcp::socket socket, ConnectionContext& context,
                                             std::function<void()> closed);

}  // namespace fathom::server
