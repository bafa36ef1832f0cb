#include "server/access.h"

#include <gtest/gtest.h>

namespace fathom::server {
namespace {

Request with(std::vector<Header> headers) {
  return {.method = "GET", .target = "/", .headers = std::move(headers)};
}

bool source_allowed(const AccessRules& rules, std::vector<Header> headers) {
  return !Access(rules).check_source(with(std::move(headers)));
}

TEST(Access, LoopbackAnswersOnlyToItsOwnNames) {
  const AccessRules rules{.bound_host = "127.0.0.1", .allowed_hosts = {"chat.example.com"}};
  for (const char* host : {"localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:8080",
                           "localhost.:80", "chat.example.com", "Chat.Example.com:443"})
    EXPECT_TRUE(source_allowed(rules, {{"Host", host}})) << host;
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.168.1.5", "",
                           "[::1", "evil.example:127.0.0.1", "notchat.example.com"})
    EXPECT_FALSE(source_allowed(rules, {{"Host", host}})) << host;
}

TEST(Access, ABoundNetworkAddressAnswersToAddressesButToNoStrangeName) {
  for (const char* bound : {"0.0.0.0", "::", "192.168.1.5"}) {
    const AccessRules rules{.bound_host = bound};
    EXPECT_TRUE(source_allowed(rules, {{"Host", "192.168.1.5:8080"}}));
    EXPECT_TRUE(source_allowed(rules, {{"Host", "[fd00::1]:8080"}}));
    EXPECT_TRUE(source_allowed(rules, {{"Host", "localhost:8080"}}));
    EXPECT_FALSE(source_allowed(rules, {{"Host", "rebound.example:8080"}}));
  }
}

TEST(Access, TwoHostsAreRefused) {
  EXPECT_FALSE(source_allowed({.bound_host = "127.0.0.1"}, {{"Host", "localhost"}, {"host", "localhost"}}));
}

TEST(Access, AnOriginIsTheServersOwnOrConfigured) {
  const AccessRules rules{.bound_host = "127.0.0.1", .allowed_origins = {"https://app.example.com"}};
  const auto allowed = [&](const char* origin) {
    return source_allowed(rules, {{"Host", "localhost:8080"}, {"Origin", origin}});
  };
  EXPECT_TRUE(allowed("http://localhost:8080"));
  EXPECT_TRUE(allowed("https://app.example.com"));
  for (const char* origin : {"http://localhost:8081", "http://localhost", "https://evil.example", "null",
                             "https://app.example.com.evil.example", "http://app.example.com", "localhost:8080"})
    EXPECT_FALSE(allowed(origin)) << origin;
}

std::string value_of(const std::vector<Header>& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (header.name == name) return header.value;
  }
  return "(none)";
}

TEST(Access, TheChatAppNeedsAKeyOnlyWhereOthersCanReachIt) {
  for (const char* host : {"127.0.0.1", "localhost", "::1"}) {
    EXPECT_FALSE(Access({.bound_host = host}).app_needs_key()) << host;
    EXPECT_TRUE(Access({.bound_host = host, .passed_on = true}).app_needs_key()) << host;
  }
  EXPECT_TRUE(Access({.bound_host = "0.0.0.0"}).app_needs_key());
  EXPECT_TRUE(Access({.bound_host = "192.0.2.1"}).app_needs_key());
}

TEST(Access, CorsNamesTheConfiguredOriginAndNeverAStar) {
  const Access access({.bound_host = "127.0.0.1", .allowed_origins = {"https://app.example.com"}});
  const Request ours = with({{"Origin", "https://app.example.com"}});
  EXPECT_EQ(value_of(access.cors_headers(ours), "Access-Control-Allow-Origin"), "https://app.example.com");
  EXPECT_EQ(value_of(access.cors_headers(ours), "Vary"), "Origin");
  const Request other = with({{"Origin", "https://evil.example"}});
  EXPECT_EQ(value_of(access.cors_headers(other), "Access-Control-Allow-Origin"), "(none)");
  EXPECT_TRUE(access.preflight_headers(other).empty());
  EXPECT_TRUE(Access(AccessRules{}).cors_headers(ours).empty());
}

TEST(Access, APreflightEchoesOnlyHeaderNames) {
  const Access access({.allowed_origins = {"https://app.example.com"}});
  const auto asked = [&](const char* names) {
    return value_of(access.preflight_headers(
                        with({{"Origin", "https://app.example.com"}, {"Access-Control-Request-Headers", names}})),
                    "Access-Control-Allow-Headers");
  };
  EXPECT_EQ(asked("authorization,x-stainless-lang"), "authorization,x-stainless-lang");
  EXPECT_EQ(asked("a: b\r\nevil: 1"), "authorization, content-type, x-api-key");
}

}  // namespace
}  // namespace fathom::server
