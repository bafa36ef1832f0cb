// What one run's sink saw, for tests that wait for it.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine/engine.h"

namespace fathom::engine {

struct Seen {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<tokens::TokenId> ids;
  std::vector<TokenEvent> events;
  RunStatistics statistics;
  FinishReason finish = FinishReason::kNone;

  TokenSink sink(std::size_t stop_after = SIZE_MAX) {
    return [this, stop_after](const TokenEvent& event, const RunStatistics& s) {
      const std::scoped_lock lock(mutex);
      EXPECT_EQ(finish, FinishReason::kNone) << "an event after the last";
      if (event.token >= 0) ids.push_back(event.token);
      events.push_back(event);
      statistics = s;
      finish = event.finish;
      if (ids.size() >= stop_after) finish = FinishReason::kStop;
      changed.notify_all();
      return ids.size() < stop_after;
    };
  }
  void wait() {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return finish != FinishReason::kNone; }));
  }
  void wait_for_tokens(std::size_t n) {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return ids.size() >= n; }));
  }
};

}  // namespace fathom::engine
