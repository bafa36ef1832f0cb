// A client that sends and reads bytes over a real socket, so that a test sees exactly what stands on the wire.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace fathom::server {

class TestClient {
 public:
  explicit TestClient(int port);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  void send(std::string_view text);
  void close();
  // Reads until what has come holds `text` (or the time is up, or the server closed), and gives all that came.
  const std::string& read_until(std::string_view text, std::chrono::milliseconds limit = std::chrono::seconds(5));
  const std::string& read_to_end(std::chrono::milliseconds limit = std::chrono::seconds(5));
  bool closed() const { return closed_; }
  void forget() { received_.clear(); }

 private:
  bool read_some(std::chrono::milliseconds limit);

  int socket_ = -1;
  std::string received_;
  bool closed_ = false;
};

// The bytes of a request with a Host, and a length where there is a body.
std::string http_request(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view headers = {});
// A body in chunks as one text; "" where the chunks are broken.
std::string unchunked(std::string_view response);

}  // namespace fathom::server
