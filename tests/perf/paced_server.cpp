// paced_server [MILLISECONDS]
// The real server over a model that says one token every so many milliseconds (100) in each of its answers and computes
// nothing. Prints its address and serves until it is ended; for tests/e2e/streams_test.py.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "../unit/server/fake_model.h"
#include "paced_engine.h"
#include "server/server.h"

namespace fathom::server {
namespace {

class PacedModel final : public engine::LoadedModel {
 public:
  explicit PacedModel(std::chrono::milliseconds pace)
      : files_("paced", kContext), engine_(files_.tokenizer().encode("w", false).front(), pace, kContext) {}

  const std::string& name() const override { return files_.name(); }
  const tokens::Tokenizer& tokenizer() const override { return files_.tokenizer(); }
  const tokens::ChatTemplate& chat_template() const override { return files_.chat_template(); }
  engine::Engine& engine() override { return engine_; }
  const engine::SamplingOptions& default_sampling() const override { return files_.default_sampling(); }
  std::span<const tokens::TokenId> stop_tokens() const override { return files_.stop_tokens(); }
  int context_length() const override { return kContext; }

 private:
  static constexpr int kContext = 8192;
  FakeModel files_;  // tokenizer and template
  engine::PacedEngine engine_;
};

int serve(std::chrono::milliseconds pace) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  auto server = Server::start({.port = 0}, {std::make_shared<PacedModel>(pace)});
  if (!server) {
    fmt::print(stderr, "paced_server: {}\n", server.error().message);
    return 1;
  }
  fmt::print("{}\n", (*server)->url());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  (*server)->stop();
  return 0;
}

}  // namespace
}  // namespace fathom::server

int main(int argc, char** argv) {
  const int milliseconds = argc > 1 ? std::atoi(argv[1]) : 100;
  if (argc > 2 || milliseconds < 1) {
    fmt::print(stderr, "paced_server [MILLISECONDS]\n");
    return 2;
  }
  return fathom::server::serve(std::chrono::milliseconds(milliseconds));
}
