#include "files/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace fathom::files {

void Digest::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Digest::Digest(const ExpectedDigest& expected) : context_(EVP_MD_CTX_new()) {
  FATHOM_CHECK(context_ != nullptr);
  FATHOM_CHECK(EVP_DigestInit_ex(context_.get(), expected.is_git() ? EVP_sha1() : EVP_sha256(), nullptr) == 1);
  if (expected.is_git()) {
    const std::string heading = fmt::format("blob {}", expected.bytes);
    FATHOM_CHECK(EVP_DigestUpdate(context_.get(), heading.c_str(), heading.size() + 1) == 1);  // with its zero byte
  }
}

void Digest::add(std::span<const std::byte> bytes) {
  FATHOM_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  bytes_ += bytes.size();
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned length = 0;
  FATHOM_CHECK(EVP_DigestFinal_ex(context_.get(), out.data(), &length) == 1);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", out[i]);
  return text;
}

bool is_hex(std::string_view text, std::size_t length) {
  return text.size() == length && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

base::Result<void> digest_file(const std::string& path, std::uint64_t bytes, Digest& digest, std::stop_token stop,
                               base::FunctionRef<void(std::uint64_t)> progress) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::fail("{}: cannot open: {}", path, std::strerror(errno));
  const std::unique_ptr<const int, void (*)(const int*)> closing(&fd, [](const int* f) { ::close(*f); });
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  for (std::uint64_t done = 0; done < bytes;) {
    if (stop.stop_requested()) return base::fail("{}: stopped", path);
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bytes - done));
    const auto got = ::read(fd, buffer.data(), want);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail("{}: cannot read: {}", path, std::strerror(errno));
    if (got == 0) return base::fail("{}: ends after {} bytes, expected {}", path, done, bytes);
    digest.add(std::span(buffer).first(static_cast<std::size_t>(got)));
    done += static_cast<std::uint64_t>(got);
    progress(done);
  }
  return {};
}

base::Result<bool> file_matches(const std::string& path, const ExpectedDigest& expected, std::stop_token stop) {
  std::error_code problem;
  const auto size = std::filesystem::file_size(path, problem);
  if (problem) return base::fail("{}: cannot read its size: {}", path, problem.message());
  if (size != expected.bytes) return false;
  Digest digest(expected);
  if (auto done = digest_file(path, size, digest, stop, [](std::uint64_t) {}); !done)
    return std::unexpected(done.error());
  return digest.hex() == expected.hex;
}

}  // namespace fathom::files
