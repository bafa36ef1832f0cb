// The runs of one request (one for each of its n choices, of each of its prompts) and the queue through which the
// engine's thread hands over what they produce. Dropping a group cancels what still runs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/answer.h"
#include "server/metering.h"
#include "server/routes.h"

namespace fathom::server {

struct ChoiceDelta {
  int choice = 0;
  engine::AnswerDelta delta;
};

class RunGroup {
 public:
  struct Plan {
    engine::AnswerRequest answer;
    int choices = 1;
    bool seeded = false;                         // choice i draws from seed + i; otherwise the engine seeds each
    std::string_view prompt_field = "messages";  // where the prompt stands in the request, for what is refused
  };
  // The runs are the caller's, and what they use is the caller's to pay. Errors: a key over its budget (402) or its
  // rate (429); a prompt beyond the context (400, with the numbers); an engine that takes no more (503). The context's
  // metering must outlive the group.
  static ApiResult<RunGroup> start(const RouteContext& context, ModelUse model, Plan plan);
  // The same for a further prompt, whose choices are numbered on. With an error the group is of no more use.
  std::optional<ApiError> add(Plan plan);

  RunGroup(RunGroup&&) noexcept = default;
  RunGroup& operator=(RunGroup&&) = delete;
  ~RunGroup();

  void set_wake(std::function<void()> wake);
  std::vector<ChoiceDelta> take();  // what came since the last call, in order

 private:
  struct Inbox;
  struct Share {  // of one choice in what the request uses
    UsageCounts used;
    bool opens_request = false, opens_prompt = false;  // a prompt counts once, whatever its choices
    bool paid = false;
  };
  RunGroup(const RouteContext& context, ModelUse model, std::shared_ptr<Inbox> inbox);
  void note_use(Share& share, const engine::AnswerDelta& delta);
  void pay(Share& share);

  Metering* metering_;
  Caller caller_;
  std::shared_ptr<RequestRecord> record_;  // or none
  std::vector<Booking> bookings_;
  std::vector<Share> shares_;  // by choice
  ModelUse model_;
  std::shared_ptr<Inbox> inbox_;  // shared with the sinks, which may be called once more after a cancel
  std::vector<engine::RunId> runs_;
};

}  // namespace fathom::server
