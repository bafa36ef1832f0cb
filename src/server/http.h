// HTTP as the routes see it: a request that is whole, and a reply that is whole, still to come, or a stream of events.
// Sockets and the HTTP library are known to http_server.cpp alone, so that every route can be tested without them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "files/json.h"

namespace fathom::server {

struct Header {
  std::string name;
  std::string value;
};

struct RequestRecord;

struct Request {
  std::string method;
  std::string target;
  std::vector<Header> headers;
  std::string body;
  std::shared_ptr<RequestRecord> record;  // none: nobody wants to know what comes of it

  std::string_view header(std::string_view name) const;  // the first of that name, any case; "" where there is none
  int count(std::string_view name) const;
  std::string_view path() const;  // the target without its query
};

struct Response {
  int status = 200;
  std::string content_type;
  std::string body;
  std::vector<Header> headers;
  std::string error_code;  // of a refusal, for the log
};

// A reply that something else (an engine's thread) is still making. Only the connection reads it; dropping it early
// cancels what it waits for.
class PendingReply {
 public:
  virtual ~PendingReply() = default;
  // `wake` is called on any thread when there may be something new, with locks held: it must only post. Set once,
  // before the first reading.
  virtual void set_wake(std::function<void()> wake) = 0;
};

// Events, sent as they come.
class EventStream : public PendingReply {
 public:
  struct Events {
    std::string text;  // whole events, "" where nothing came
    bool done = false;
  };
  virtual Events read() = 0;  // never blocks
  virtual std::string_view content_type() const { return "text/event-stream"; }
  virtual std::string keep_alive() const { return ": keep-alive\n\n"; }  // sent when nothing else was for a while
  virtual std::vector<Header> headers() const { return {}; }             // further ones
};

// One response, at the end.
class LateResponse : public PendingReply {
 public:
  virtual std::optional<Response> read() = 0;  // never blocks
};

class Delay;
using Reply =
    std::variant<Response, std::unique_ptr<EventStream>, std::unique_ptr<LateResponse>, std::unique_ptr<Delay>>;

// The reply cannot begin yet: what it is made with (a model) is not there.
class Delay : public PendingReply {
 public:
  virtual bool is_over() const = 0;
  virtual Reply reply() = 0;  // once it is over; may take its time
  // What is sent meanwhile, when nothing else was for a while, and what the reply must then look like: events, whose
  // last one tells of a response that is none; else a response of JSON, before which blanks may stand.
  virtual bool is_stream() const = 0;
  virtual std::string_view content_type() const = 0;
  virtual std::string sign_of_life() const = 0;  // "": nothing is sent
  virtual std::string last_event(const Response& response) const = 0;
};

Response json_response(int status, const files::Json& body);
std::string json_text(const files::Json& value);  // bytes that are not UTF-8 become U+FFFD
std::string_view reason_phrase(int status);
bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string lower_case(std::string_view text);
// "%41" to "A"; none where an escape is broken.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace fathom::server
