// The HTTP server: the API in its dialects and the chat page, for the models of a pool.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "chat/store.h"
#include "engine/disk_cache.h"
#include "engine/loaded_model.h"
#include "server/app/model_library.h"
#include "server/model_pool.h"
#include "server/page_file.h"
#include "server/request_log.h"
#include "server/usage_ledger.h"

namespace fathom::server {

struct ServerOptions {
  std::string host = "127.0.0.1";            // an address, or "localhost"
  int port = 8080;                           // 0: any free one
  std::vector<std::string> allowed_hosts;    // further names that it is reached by, without port
  std::vector<std::string> allowed_origins;  // other sites whose pages may call it, as "https://chat.example.com"
  std::string api_key;                       // for whoever runs it; "": none
  std::string local_key;                     // the same for this person's other programs, which asks nobody for keys
  std::shared_ptr<ServerDatabase> database;  // keys and usage; nullptr: neither
  PriceList prices;
  std::shared_ptr<const RequestLog> log;          // nullptr: requests are not logged
  std::shared_ptr<const engine::DiskCache> disk;  // for its numbers; nullptr: none
  std::string proxy;  // "https://chat.example.com": where a proxy that encrypts passes requests on from; "": none
  std::string tls_certificate, tls_key;  // PEM files; "": no TLS
  bool open = false;                     // serve other machines without key or encryption
  std::string version = "0.1.0";
  std::shared_ptr<chat::Store> chat;  // conversations; none: the server has no chat app
  std::string data_folder;            // where models are kept; the chat app tells how much room is left there
  app::ModelPlaces model_places;      // whence the chat app gets more of them
  std::span<const PageFile> page;     // embedded_page(); empty: the interface without the page
  int threads = 2;                    // for sockets; as many again for reading requests and rendering prompts
  int max_connections = 4096;
  std::size_t max_header_bytes = std::size_t{32} << 10;
  std::size_t max_body_bytes = std::size_t{32} << 20;
  std::chrono::milliseconds idle_limit{75'000};    // between requests of one connection
  std::chrono::milliseconds header_limit{15'000};  // for a request's head, from its first byte
  std::chrono::milliseconds body_limit{120'000};   // and for its body
  std::chrono::milliseconds write_limit{30'000};   // a client that takes nothing for so long is dropped
  std::chrono::milliseconds keep_alive{15'000};    // a sign of life this often while nothing flows
  std::chrono::milliseconds drain_limit{10'000};   // how long stop() lets running answers go on
};

class Server {
 public:
  // Listens at once. The first model answers requests that name none. Errors: no model, an address that is none, a port
  // in use (with what to do).
  static base::Result<std::unique_ptr<Server>> start(ServerOptions options, std::shared_ptr<ModelPool> models);
  static base::Result<std::unique_ptr<Server>> start(ServerOptions options,
                                                     std::vector<std::shared_ptr<engine::LoadedModel>> models);
  ~Server();  // stops

  int port() const;
  std::string url() const;  // "http://127.0.0.1:8080"
  // Takes no further requests, lets running answers finish within the limit, cancels the rest. Safe to call again.
  void stop();
  void wait(std::stop_token token);  // until a stop is asked for, then stop()

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::server
