#include "chat/import_reader.h"

#include <istream>
#include <optional>
#include <streambuf>

#include "chat/import_formats.h"
#include "files/json_builder.h"

namespace fathom::chat {

namespace {

using files::Json;

// A conversation of years has some ten megabytes; what holds more than these is skipped.
constexpr files::JsonLimits kConversation{.depth = 64, .values = std::size_t{2} << 20};
constexpr std::uint64_t kMostConversationBytes = std::uint64_t{64} << 20;
// One string, which the parser holds as a whole.
constexpr std::uint64_t kMostStringBytes = std::uint64_t{32} << 20;

// What comes, as the parser wants it. Ends early where a string would not end.
class Pieces final : public std::streambuf {
 public:
  explicit Pieces(const std::function<std::string()>& more) : more_(more) {}

  std::uint64_t bytes() const { return before_ + static_cast<std::uint64_t>(gptr() - eback()); }
  void event() { last_event_ = bytes(); }
  const std::string& error() const { return error_; }

 protected:
  int_type underflow() override {
    before_ += piece_.size();
    piece_.clear();
    setg(nullptr, nullptr, nullptr);
    if (before_ - last_event_ > kMostStringBytes) {
      error_ = fmt::format("a text of more than {} bytes at byte {}", kMostStringBytes, last_event_);
      return traits_type::eof();
    }
    piece_ = more_();
    if (piece_.empty()) return traits_type::eof();
    setg(piece_.data(), piece_.data(), piece_.data() + piece_.size());
    return traits_type::to_int_type(piece_.front());
  }

 private:
  const std::function<std::string()>& more_;
  std::string piece_, error_;
  std::uint64_t before_ = 0, last_event_ = 0;
};

// Takes the conversations out of the file's events: the elements of the array that is the file, or that its
// "conversations" is.
class Splitter final : public nlohmann::json_sax<Json> {
 public:
  Splitter(Pieces& pieces, const ImportPort& port, const std::string& whose)
      : pieces_(pieces), port_(port), whose_(whose) {}

  bool null() override {
    return value([](auto& b) { return b.null(); });
  }
  bool boolean(bool v) override {
    return value([&](auto& b) { return b.boolean(v); });
  }
  bool number_integer(number_integer_t v) override {
    return value([&](auto& b) { return b.number_integer(v); });
  }
  bool number_unsigned(number_unsigned_t v) override {
    return value([&](auto& b) { return b.number_unsigned(v); });
  }
  bool number_float(number_float_t v, const string_t& s) override {
    return value([&](auto& b) { return b.number_float(v, s); });
  }
  bool string(string_t& v) override {
    return value([&](auto& b) { return b.string(v); });
  }
  bool binary(binary_t&) override { return false; }

  bool key(string_t& name) override {
    if (inside()) return value([&](auto& b) { return b.key(name); });
    pieces_.event();
    named_ = depth_ == 1 && name == "conversations";
    return true;
  }
  bool start_object(std::size_t count) override {
    if (!inside() && in_list_ && depth_ == list_depth_) {
      builder_.emplace(kConversation);
      begin_ = pieces_.bytes();
      problem_.clear();
    }
    ++depth_;
    return value([&](auto& b) { return b.start_object(count); });
  }
  bool start_array(std::size_t count) override {
    if (!inside() && !in_list_ && (depth_ == 0 || (depth_ == 1 && named_))) {
      in_list_ = true;
      list_depth_ = depth_ + 1;
    }
    ++depth_;
    return value([&](auto& b) { return b.start_array(count); });
  }
  bool end_object() override {
    --depth_;
    if (!value([](auto& b) { return b.end_object(); })) return false;
    return !inside() || depth_ != list_depth_ || conversation_ended();
  }
  bool end_array() override {
    --depth_;
    if (in_list_ && depth_ < list_depth_) in_list_ = false;
    return value([](auto& b) { return b.end_array(); });
  }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& problem) override {
    error_ = pieces_.error().empty() ? files::json_problem(byte, problem) : pieces_.error();
    return false;
  }

  bool stopped() const { return stopped_; }
  const std::string& error() const { return error_; }
  bool found_any() const { return found_; }

 private:
  bool inside() const { return builder_.has_value(); }

  // An event within a conversation goes to its builder, until that has enough of it.
  template <class Forward>
  bool value(const Forward& forward) {
    pieces_.event();
    if (!inside() || !problem_.empty()) return true;
    if (!forward(*builder_)) problem_ = builder_->error();
    if (pieces_.bytes() - begin_ > kMostConversationBytes)
      problem_ = fmt::format("more than {} bytes", kMostConversationBytes);
    if (!problem_.empty()) (void)builder_->take();
    return true;
  }

  bool conversation_ended() {
    found_ = true;
    const Json json = builder_->take();
    builder_.reset();
    ++number_;
    auto imported = problem_.empty() ? imported_conversation(json, whose_) : base::fail("{}", problem_);
    if (!imported) {
      port_.skipped(fmt::format("conversation {} of the file: {}", number_, imported.error().message));
      return true;
    }
    stopped_ = !port_.take(std::move(*imported));
    return !stopped_;
  }

  Pieces& pieces_;
  const ImportPort& port_;
  const std::string& whose_;
  std::optional<files::JsonBuilder> builder_;
  std::string problem_, error_;
  std::uint64_t begin_ = 0;
  int depth_ = 0, list_depth_ = 0, number_ = 0;
  bool in_list_ = false, named_ = false, stopped_ = false, found_ = false;
};

}  // namespace

base::Result<void> read_import(const ImportPort& port, const std::string& whose) {
  Pieces pieces(port.more);
  std::istream stream(&pieces);
  Splitter splitter(pieces, port, whose);
  const bool whole = Json::sax_parse(stream, &splitter);
  if (splitter.stopped()) return {};
  if (!whole) return base::fail("the file is no export: {}", splitter.error());
  if (!splitter.found_any())
    return base::fail(
        "no conversations in the file: expected the conversations.json of ChatGPT or DeepSeek, or fathom's own export");
  return {};
}

}  // namespace fathom::chat
