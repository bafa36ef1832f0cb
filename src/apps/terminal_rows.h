// The last rows of a terminal that may still change: an answer that is being written. Each call says what they should
// be; only what differs is written again, so that nothing flickers. What the rows mean is not known here.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace fathom::apps {

class LiveRows {
 public:
  explicit LiveRows(std::FILE* out) : out_(out) {}

  // Shows `done` and below it `live`, in place of the rows that were live. The done rows will not change any more (and
  // may be longer than the terminal is wide); the live ones may, and must each be narrower than the terminal. The
  // cursor ends after the last live row, or on a new row.
  void show(const std::vector<std::string>& done, std::vector<std::string> live);

  // The terminal has another width and has wrapped the live rows anew: takes them away. `show` brings them back.
  void clear(int columns);

 private:
  void write(const std::string& text);

  std::FILE* out_;
  std::vector<std::string> live_;
};

}  // namespace fathom::apps
