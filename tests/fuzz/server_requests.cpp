// Any bytes as the body of a request: every dialect must refuse it or start runs, without an exception on the way. The
// first byte names the route; the engine takes no run, so nothing is generated.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "../unit/server/fake_model.h"
#include "server/router.h"

namespace {

using namespace fathom::server;

struct Served {
  Served() : model(std::make_shared<FakeModel>("fake", 4096)), router({.models = ModelPool::of({model})}, {}, {}) {
    model->engine().full = true;
    for (const Router::Path& path : router.paths())
      if (path.method == "POST") paths.emplace_back(path.path);
  }
  std::shared_ptr<FakeModel> model;
  Router router;
  std::vector<std::string> paths;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Served served;
  if (size == 0) return 0;
  Request request{.method = "POST", .target = served.paths[data[0] % served.paths.size()]};
  request.body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  Reply reply = served.router.answer(request);
  // One body may unload the model; whoever wants it then waits until it is there again.
  while (const auto* delay = std::get_if<std::unique_ptr<Delay>>(&reply)) {
    while (!(*delay)->is_over()) std::this_thread::yield();
    reply = (*delay)->reply();
  }
  const auto* response = std::get_if<Response>(&reply);
  if (response == nullptr || response->status == 500) __builtin_trap();
  return 0;
}
