#include "test_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "base/error.h"

namespace fathom::server {

TestClient::TestClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  FATHOM_CHECK(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

TestClient::~TestClient() {
  close();
}

void TestClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void TestClient::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) return;  // the server has closed; the test sees it in what it reads
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

bool TestClient::read_some(std::chrono::milliseconds limit) {
  pollfd waiting{.fd = socket_, .events = POLLIN};
  if (limit.count() < 0 || ::poll(&waiting, 1, static_cast<int>(limit.count())) <= 0) return false;
  char bytes[65536];
  const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
  if (count <= 0) {
    closed_ = true;
    return false;
  }
  received_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

const std::string& TestClient::read_until(std::string_view text, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!received_.contains(text)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (!read_some(left)) break;
  }
  return received_;
}

const std::string& TestClient::read_to_end(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (!read_some(left)) return received_;
  }
}

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view headers) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}", method, path, headers);
  if (!body.empty()) text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  return fmt::format("{}\r\n{}", text, body);
}

std::string unchunked(std::string_view response) {
  const auto head_end = response.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return {};
  response.remove_prefix(head_end + 4);
  std::string body;
  for (;;) {
    std::size_t size = 0;
    const auto line = response.find("\r\n");
    if (line == std::string_view::npos ||
        std::from_chars(response.data(), response.data() + line, size, 16).ptr != response.data() + line)
      return {};
    response.remove_prefix(line + 2);
    if (size == 0) return response == "\r\n" ? body : std::string{};
    if (response.size() < size + 2 || response.substr(size, 2) != "\r\n") return {};
    body += response.substr(0, size);
    response.remove_prefix(size + 2);
  }
}

}  // namespace fathom::server
