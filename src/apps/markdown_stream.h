// Markdown that is still being written: blocks that are finished come out as rows for good, the unfinished rest as
// plain rows that may change.
#pragma once

#include <string>
#include <string_view>

#include "apps/markdown.h"

namespace fathom::apps {

class MarkdownStream {
 public:
  explicit MarkdownStream(MarkdownLook look) : look_(look) {}

  void push(std::string_view text);
  void finish();  // nothing more comes: the rest is finished

  // Rows that became final since the last call.
  MarkdownRows take_done();
  // Rows of the rest, each narrower than the terminal.
  MarkdownRows live() const;

  // The rest has grown beyond what the terminal can still change: its block stays as plain as it is shown.
  void keep_plain() { plain_ = true; }
  void resize(int columns) { look_.columns = columns; }

 private:
  // What of a text is finished: blocks from the first on, or items of its only block, a list.
  struct Finished {
    int blocks = 0, items = 0;
    int lines = 0;
  };
  static Finished finished(cmark_node* document, std::string_view text, bool all);
  void advance(bool all);
  bool stream_code(cmark_node* document, std::string_view text);
  void take(cmark_node* document, const Finished& part, std::string_view source);
  void take_list(cmark_node* list, int items, bool ends);
  void take_code_lines(cmark_node* block);
  bool gap() const;
  void add(MarkdownRows rows);
  MarkdownRows plain_rows(std::string_view text) const;

  MarkdownLook look_;
  std::string pending_;  // from the first unfinished block on
  MarkdownRows done_;
  bool begun_ = false;  // a block has come out
  bool plain_ = false;
  int code_lines_ = -1;   // of the block of code that pending_ begins with and that have come out; -1: none has
  int list_number_ = -1;  // of the item that pending_ begins with, where items before it have come out
  bool list_loose_ = false;
};

}  // namespace fathom::apps
