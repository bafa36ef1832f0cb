// quantize: a model's files to one GGUF file of another type, with a line of progress where a terminal shows it.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "apps/commands.h"
#include "apps/terminal_signals.h"
#include "base/machine.h"
#include "files/size_text.h"
#include "model/model.h"
#include "weights/convert.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

using Clock = std::chrono::steady_clock;

// One line, rewritten a few times a second.
class ProgressLine {
 public:
  ProgressLine() : live_(::isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() {
    if (live_) fmt::print(stderr, "\r\x1b[K");
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const weights::ConvertProgress& p) {
    const auto now = Clock::now();
    if (!live_ || now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    const double done = static_cast<double>(p.written) / static_cast<double>(p.bytes);
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const auto left = static_cast<long>(done > 0 ? seconds / done - seconds : 0);
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(p.written) / std::max(seconds, 1e-3));
    fmt::print(stderr, "\r{:3.0f} %  {}/{} {} {}  {}/s  {}:{:02} left\x1b[K", 100 * done, p.index + 1, p.count,
               p.tensor, base::info(p.type).name, files::size_text(rate), left / 60, left % 60);
    std::fflush(stderr);
  }

 private:
  const bool live_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
};

// OUT must be a file of its own: not the one read, nor another part of it.
Status check_names(const std::string& in, const std::string& out) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!out.ends_with(".gguf")) return fail("{}: expected a name that ends in .gguf", out);
  if (fs::is_directory(out, error)) return fail("{}: is a directory, expected the name of a file to write", out);
  const fs::path folder = fs::path(out).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, error))
    return fail("{}: there is no directory {}", out, folder.string());
  if (fs::equivalent(in, out, error)) return fail("{}: is the file that is read; write to another name", out);
  // Parts of one model differ in "-00001-of-00007.gguf" alone.
  constexpr std::size_t kNumber = 5, kEnd = 14;  // of "-of-00007.gguf"
  const auto part = [&](const std::string& path) {
    const std::string name = fs::path(path).filename().string();
    return name.size() > kEnd + kNumber && name.substr(name.size() - kEnd).starts_with("-of-")
               ? name.substr(0, name.size() - kEnd - kNumber) + name.substr(name.size() - kEnd)
               : std::string();
  };
  if (!part(in).empty() && part(in) == part(out) && fs::exists(out, error) &&
      fs::equivalent(fs::path(in).parent_path() / ".", folder / ".", error))
    return fail("{}: is a part of the model that is read; write to another name", out);
  return {};
}

Status heed(Signals& signals) {
  while (const auto signal = signals.next()) {
    if (*signal == Signals::Kind::kSuspend) suspend();
    if (*signal == Signals::Kind::kInterrupt || *signal == Signals::Kind::kEnd)
      return fail("stopped; nothing was written");
  }
  return {};
}

}  // namespace

std::vector<std::string> quantize_types() {
  std::vector<std::string> names;
  for (const auto& type : weights::file_types()) names.emplace_back(type.name);
  return names;
}

Status quantize(const QuantizeFlags& flags) {
  const weights::FileType* type = weights::find_file_type(flags.type);
  FATHOM_CHECK(type != nullptr);
  auto path = resolve_model(flags.model);
  if (!path) return std::unexpected(path.error());
  if (auto r = check_names(*path, flags.out); !r) return r;
  auto checkpoint = weights::Checkpoint::open(*path);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  // A directory is converted by its model's own list of tensors, checked as if it were to run.
  std::unique_ptr<model::Model> model;
  std::vector<weights::TensorSpec> specs;
  if (checkpoint->gguf() == nullptr) {
    auto bound = model::bind_model(*checkpoint);
    if (!bound) return std::unexpected(bound.error());
    model = std::move(*bound);
    specs = model->describe();
  }
  auto signals = Signals::take_over();
  if (!signals) return std::unexpected(signals.error());
  base::ThreadPool pool(flags.threads > 0 ? flags.threads : base::usable_threads());
  std::uint64_t bytes = 0;
  std::size_t tensors = 0;
  {
    ProgressLine line;
    auto done = weights::convert({.from = *checkpoint, .specs = specs, .type = *type, .to = flags.out}, pool,
                                 [&](const weights::ConvertProgress& p) -> Status {
                                   line.show(p);
                                   bytes = p.bytes;
                                   tensors = p.count;
                                   return heed(*signals);
                                 });
    if (!done) return done;
  }
  fmt::print("{}: {}, {} tensors, {}\n", flags.out, files::size_text(bytes), tensors, flags.type);
  return {};
}

}  // namespace fathom::apps
