#include "server/exposure.h"

#include <boost/asio/ip/address.hpp>

namespace fathom::server {

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

base::Result<void> check_exposure(const Exposure& exposure) {
  if (is_loopback(exposure.host) || exposure.open) return {};
  std::string missing;
  if (!exposure.asks_for_key)
    missing +=
        "\n  a key, without which anybody who reaches it may use it:\n"
        "    fathom keys add NAME        (or --api-key KEY, or FATHOM_API_KEY)";
  if (!exposure.encrypts && !exposure.has_proxy)
    missing +=
        "\n  encryption, without which anybody on the way reads keys and conversations:\n"
        "    --tls-cert cert.pem --tls-key key.pem, or\n"
        "    --proxy https://chat.example.com   where a proxy at that address speaks TLS and passes requests on";
  if (missing.empty()) return {};
  return base::fail(
      "--host {} lets other machines in, and there is not yet{}\n  --open serves it without, where the network itself "
      "is closed (a container's, a test's)",
      exposure.host, missing);
}

}  // namespace fathom::server
