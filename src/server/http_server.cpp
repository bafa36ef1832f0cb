// Listening, the threads, and the way down: new requests are refused first, answers in hand may end, then all close.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "server/app/app.h"
#include "server/connection.h"
#include "server/exposure.h"
#include "server/server.h"

namespace fathom::server {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kCloseLimit{5'000};  // for connections that were told to close at once

AccessRules access_rules(const ServerOptions& options) {
  AccessRules rules{
      .bound_host = options.host, .allowed_hosts = options.allowed_hosts, .allowed_origins = options.allowed_origins};
  if (!options.proxy.empty()) {
    // Who comes through the proxy names it as the host, and pages from there are the server's own.
    const std::size_t start = options.proxy.find("://") + 3;
    const std::string host = options.proxy.substr(start);
    rules.allowed_hosts.push_back(host.substr(0, host.rfind(':')));
    rules.allowed_origins.push_back(options.proxy);
    rules.passed_on = true;
  }
  return rules;
}

// As it stands in a URL.
std::string bracketed(const std::string& host) {
  return host.contains(':') ? "[" + host + "]" : host;
}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions given, std::shared_ptr<ModelPool> models, std::shared_ptr<Metering> metering,
       std::unique_ptr<app::App> chat_app)
      : options(std::move(given)),
        chat(std::move(chat_app)),
        metrics(std::make_shared<Metrics>(options.disk)),
        router({.models = std::move(models),
                .version = options.version,
                .metering = std::move(metering),
                .caller = {},
                .app = chat.get(),
                .metrics = metrics,
                .record = {}},
               access_rules(options), options.page),
        work(static_cast<std::size_t>(std::max(options.threads, 1))),
        context{options, router, work, nullptr, *metrics},
        acceptor(asio::make_strand(io)) {}

  base::Result<void> read_certificate();
  base::Result<void> listen();
  void start_threads();
  asio::awaitable<void> accept();
  void welcome(tcp::socket socket);
  void for_each_connection(void (Connection::*action)());
  bool wait_until_empty(std::chrono::steady_clock::time_point deadline);
  void stop();

  // The order matters: a connection that is left over dies with `io`, and needs the models to cancel its runs.
  ServerOptions options;
  std::unique_ptr<app::App> chat;
  std::shared_ptr<Metrics> metrics;
  Router router;
  asio::thread_pool work;
  ConnectionContext context;
  std::optional<asio::ssl::context> tls;
  asio::io_context io;
  tcp::acceptor acceptor;
  int port = 0;

  std::mutex mutex;  // of all that follows
  std::condition_variable_any changed;
  std::unordered_map<std::uint64_t, std::weak_ptr<Connection>> connections;
  std::uint64_t next_connection = 0;
  bool stopping = false;
  bool stopped = false;

  std::vector<std::jthread> threads;
};

base::Result<void> Server::Impl::read_certificate() {
  if (options.tls_certificate.empty() && options.tls_key.empty()) return {};
  if (options.tls_certificate.empty() || options.tls_key.empty())
    return base::fail("TLS needs both files: --tls-cert and --tls-key");
  tls.emplace(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  error_code error;
  tls->use_certificate_chain_file(options.tls_certificate, error);
  if (error) return base::fail("--tls-cert {}: no PEM certificate: {}", options.tls_certificate, error.message());
  tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error) return base::fail("--tls-key {}: no PEM key: {}", options.tls_key, error.message());
  if (SSL_CTX_check_private_key(tls->native_handle()) != 1)
    return base::fail("--tls-key {} is not the key of {}", options.tls_key, options.tls_certificate);
  context.tls = &*tls;
  return {};
}

base::Result<void> Server::Impl::listen() {
  error_code error;
  const std::string literal = options.host == "localhost" ? "127.0.0.1" : options.host;
  const auto address = asio::ip::make_address(literal, error);
  if (error) return base::fail("--host {}: expected an address, such as 127.0.0.1, 0.0.0.0 or ::1", options.host);
  if (options.port < 0 || options.port > 65535) return base::fail("--port {}: expected 0 to 65535", options.port);
  const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(options.port));
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use) {
    return base::fail("port {} of {} is in use by another program: stop it, or choose another with --port (0: any)",
                      options.port, options.host);
  }
  if (error) return base::fail("cannot listen on {} port {}: {}", options.host, options.port, error.message());
  port = acceptor.local_endpoint().port();
  return {};
}

void Server::Impl::start_threads() {
  asio::co_spawn(acceptor.get_executor(), accept(), asio::detached);
  for (int i = 0; i < std::max(options.threads, 1); ++i) {
    threads.emplace_back([this] {
      for (;;) {
        try {
          io.run();
          return;
        } catch (const std::exception& failure) {
          spdlog::error("a server thread failed: {}", failure.what());
        }
      }
    });
  }
}

asio::awaitable<void> Server::Impl::accept() {
  while (acceptor.is_open()) {
    tcp::socket socket(asio::make_strand(io));
    error_code error;
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      try {
        welcome(std::move(socket));
      } catch (const std::exception& failure) {  // no memory: this client goes, the next one may find some
        spdlog::error("cannot take a connection: {}", failure.what());
      }
    } else if (acceptor.is_open()) {
      // Most likely no file descriptor is left; trying again at once would spin.
      spdlog::warn("cannot accept a connection: {}", error.message());
      asio::steady_timer pause(acceptor.get_executor(), std::chrono::milliseconds(100));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

void Server::Impl::welcome(tcp::socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const std::lock_guard lock(mutex);
  if (connections.size() >= static_cast<std::size_t>(options.max_connections)) {
    constexpr std::string_view kFull =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n";
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kFull.data(), kFull.size()), ignored);
    return;
  }
  const std::uint64_t id = next_connection++;
  connections[id] = start_connection(std::move(socket), context, [this, id] {
    const std::lock_guard inner(mutex);
    connections.erase(id);
    metrics->connections(connections.size());
    changed.notify_all();
  });
  metrics->connections(connections.size());
}

void Server::Impl::for_each_connection(void (Connection::*action)()) {
  const std::lock_guard lock(mutex);
  for (const auto& [id, weak] : connections) {
    if (const auto connection = weak.lock()) ((*connection).*action)();
  }
}

bool Server::Impl::wait_until_empty(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex);
  return changed.wait_until(lock, deadline, [this] { return connections.empty(); });
}

void Server::Impl::stop() {
  {
    std::unique_lock lock(mutex);
    if (std::exchange(stopping, true)) return changed.wait(lock, [this] { return stopped; });
  }
  // Who comes from now on is told so; what runs may end.
  const auto deadline = std::chrono::steady_clock::now() + options.drain_limit;
  context.stopping = true;
  for_each_connection(&Connection::finish);
  if (chat) {
    chat->let_end(deadline);
    chat->stop();  // its streams would go on for ever
  }
  if (!wait_until_empty(deadline)) {
    for_each_connection(&Connection::drop);
    if (!wait_until_empty(std::chrono::steady_clock::now() + kCloseLimit))
      spdlog::error("some connections did not close");
  }
  asio::post(acceptor.get_executor(), [this] {
    error_code ignored;
    acceptor.close(ignored);
  });
  work.join();
  io.stop();
  threads.clear();
  const std::lock_guard lock(mutex);
  stopped = true;
  changed.notify_all();
}

base::Result<std::unique_ptr<Server>> Server::start(ServerOptions options,
                                                    std::vector<std::shared_ptr<engine::LoadedModel>> models) {
  return start(std::move(options), ModelPool::of(std::move(models), base::unix_seconds()));
}

base::Result<std::unique_ptr<Server>> Server::start(ServerOptions options, std::shared_ptr<ModelPool> models) {
  if (models->list().empty()) return base::fail("the server needs at least one model");
  auto metering = std::make_shared<Metering>(options.api_key, options.database, options.prices, options.local_key);
  if (auto allowed = check_exposure({.host = options.host,
                                     .asks_for_key = metering->asks_for_key(),
                                     .encrypts = !options.tls_certificate.empty(),
                                     .has_proxy = !options.proxy.empty(),
                                     .open = options.open});
      !allowed)
    return std::unexpected(allowed.error());
  std::unique_ptr<app::App> chat;
  if (options.chat) {
    auto made = app::App::make({.kept = options.chat,
                                .models = models,
                                .version = options.version,
                                .folder = options.data_folder,
                                .metering = metering,
                                .places = options.model_places});
    if (!made) return std::unexpected(made.error());
    chat = std::move(*made);
  }
  auto impl = std::make_unique<Impl>(std::move(options), std::move(models), std::move(metering), std::move(chat));
  if (const auto ready = impl->read_certificate(); !ready) return std::unexpected(ready.error());
  if (const auto listening = impl->listen(); !listening) return std::unexpected(listening.error());
  impl->start_threads();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  stop();
}

int Server::port() const {
  return impl_->port;
}

std::string Server::url() const {
  // Everywhere is no address to open in a browser; this machine's own is.
  const std::string& host = impl_->options.host;
  const bool everywhere = host == "0.0.0.0" || host == "::";
  return fmt::format("{}://{}:{}", impl_->tls ? "https" : "http", everywhere ? "127.0.0.1" : bracketed(host),
                     impl_->port);
}

void Server::stop() {
  impl_->stop();
}

void Server::wait(std::stop_token token) {
  {
    std::unique_lock lock(impl_->mutex);
    impl_->changed.wait(lock, token, [this] { return impl_->stopped; });
  }
  stop();
}

}  // namespace fathom::server
