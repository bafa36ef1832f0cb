// Asks a router as a connection does and waits for the whole reply, so that a test sees a dialect's bytes without
// sockets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fake_model.h"
#include "server/router.h"

namespace fathom::server {

struct Answer {
  int status = 0;
  std::string content_type;
  std::string body;
  std::string keep_alive;  // of a stream
  bool stream = false;

  files::Json json() const { return files::Json::parse(body); }
};

class Asker {
 public:
  explicit Asker(std::vector<std::shared_ptr<engine::LoadedModel>> models, std::string api_key = {})
      : Asker(ModelPool::of(std::move(models), 1700000000), std::move(api_key)) {}
  explicit Asker(std::shared_ptr<ModelPool> models, std::string api_key = {})
      : router_({.models = std::move(models),
                 .version = "9.9",
                 .metering = std::make_shared<Metering>(std::move(api_key), nullptr, PriceList{})},
                AccessRules{}, {}) {}
  Answer ask(std::string method, std::string path, std::string body = {}, std::vector<Header> headers = {}) const;
  Answer post(std::string path, const files::Json& body) const { return ask("POST", std::move(path), body.dump()); }

 private:
  Router router_;
};

// For comparing: the order of an object's members says nothing.
inline nlohmann::json any_order(const files::Json& value) {
  return nlohmann::json::parse(value.dump());
}

// One server-sent event; the data of "[DONE]" is that string. Whatever is no event is a failure of the test.
struct Event {
  std::string name;  // "" where it has none
  files::Json data;
};
std::vector<Event> events_of(std::string_view text);
// The lines of a stream of JSON lines.
std::vector<files::Json> lines_of(std::string_view text);

}  // namespace fathom::server
