#include "files/download.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>

#include "files/file_name.h"
#include "files/folder_lock.h"
#include "files/http.h"
#include "files/in_quotes.h"
#include "files/pull_record.h"
#include "files/retry.h"
#include "files/size_text.h"

namespace fathom::files {
namespace {

using base::fail;
using base::Result;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Left free on the disk: a full one breaks more than this download.
constexpr std::uint64_t kSpareBytes = std::uint64_t{64} << 20;

// Bytes done over all files, and their speed over the last seconds.
class Meter {
 public:
  Meter(const Download& request, std::uint64_t total) : request_(request), total_(total) {}

  void phase(PullProgress::Phase phase, std::string_view file) {
    phase_ = phase;
    file_ = file;
    samples_.clear();
    report(true);
  }
  void file_at(std::uint64_t bytes) {
    current_ = bytes;
    report(false);
  }
  void file_done(std::uint64_t bytes) {
    finished_ += bytes;
    current_ = 0;
    report(true);
  }

 private:
  void report(bool now) {
    constexpr auto kWindow = std::chrono::seconds(10);
    constexpr auto kBetween = std::chrono::milliseconds(100);
    const auto time = Clock::now();
    if (!request_.progress || (!now && time - last_ < kBetween)) return;
    last_ = time;
    PullProgress progress{.phase = phase_, .file = file_, .done = finished_ + current_, .total = total_};
    samples_.push_back({time, progress.done});
    while (samples_.size() > 2 && time - samples_.front().time > kWindow) samples_.pop_front();
    const double seconds = std::chrono::duration<double>(time - samples_.front().time).count();
    const std::uint64_t since = samples_.front().done;
    if (phase_ == PullProgress::Phase::kFetching && seconds > 0.5 && progress.done > since) {
      progress.bytes_per_second = static_cast<double>(progress.done - since) / seconds;
      progress.seconds_left = static_cast<double>(total_ - progress.done) / progress.bytes_per_second;
    }
    request_.progress(progress);
  }

  struct Sample {
    Clock::time_point time;
    std::uint64_t done;
  };
  const Download& request_;
  const std::uint64_t total_;
  PullProgress::Phase phase_ = PullProgress::Phase::kChecking;
  std::string_view file_;
  std::uint64_t finished_ = 0, current_ = 0;
  std::deque<Sample> samples_;
  Clock::time_point last_{};
};

// The unfinished bytes of one file, named by the digest they are to have, so that another version never continues them.
class PartialFile {
 public:
  static Result<PartialFile> open(const std::string& folder, const HubFile& file) {
    PartialFile partial(file);
    partial.path_ = fmt::format("{}/.{}.part", folder, file.digest.hex);
    partial.etag_path_ = partial.path_ + ".etag";
    partial.fd_ = ::open(partial.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (partial.fd_ < 0) return fail("{}: cannot create it: {}", partial.path_, std::strerror(errno));
    const auto size = ::lseek(partial.fd_, 0, SEEK_END);
    partial.size_ = size < 0 ? 0 : static_cast<std::uint64_t>(size);
    if (partial.size_ > file.bytes()) {
      if (auto done = partial.restart(); !done) return std::unexpected(done.error());
    }
    return partial;
  }
  PartialFile(PartialFile&& other) noexcept
      : file_(other.file_),
        path_(std::move(other.path_)),
        etag_path_(std::move(other.etag_path_)),
        fd_(std::exchange(other.fd_, -1)),
        size_(other.size_),
        digest_(std::move(other.digest_)) {}
  ~PartialFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  Digest& digest() { return digest_; }

  Result<void> restart() {
    if (::ftruncate(fd_, 0) != 0) return failed();
    size_ = 0;
    digest_ = Digest(file_->digest);
    return {};
  }
  Result<void> append(std::span<const std::byte> bytes) {
    digest_.add(bytes);
    while (!bytes.empty()) {
      const auto done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return failed();
      size_ += static_cast<std::uint64_t>(done);
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
    return {};
  }
  // The ETag that these bytes came with; kept beside them, since the next try may be another process.
  std::string etag() const {
    const int fd = ::open(etag_path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return {};
    char text[256];
    const auto got = ::read(fd, text, sizeof(text));
    ::close(fd);
    return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : std::string();
  }
  void set_etag(const std::string& etag) {
    ::unlink(etag_path_.c_str());
    if (etag.empty() || etag.size() > 255) return;
    const int fd = ::open(etag_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return;
    if (::write(fd, etag.data(), etag.size()) != static_cast<ssize_t>(etag.size())) ::unlink(etag_path_.c_str());
    ::close(fd);
  }
  Result<void> finish(const std::string& target) {
    if (::fsync(fd_) != 0 || ::rename(path_.c_str(), target.c_str()) != 0) return failed();
    ::unlink(etag_path_.c_str());
    return {};
  }
  void remove() {
    ::unlink(path_.c_str());
    ::unlink(etag_path_.c_str());
  }

 private:
  explicit PartialFile(const HubFile& file) : file_(&file), digest_(file.digest) {}
  std::unexpected<base::Error> failed() const {
    if (errno == ENOSPC || errno == EDQUOT) return fail("{}: the disk is full: free some room and pull again", path_);
    return fail("{}: cannot write: {}", path_, std::strerror(errno));
  }

  const HubFile* file_;
  std::string path_, etag_path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  Digest digest_;
};

class FileFetch {
 public:
  FileFetch(const Download& request, const HubFile& file, PartialFile& partial, Meter& meter)
      : request_(request), file_(file), partial_(partial), meter_(meter) {}

  // Until the partial file has all its bytes.
  Result<void> run() {
    Retry retry(request_.access.attempts, request_.access.first_pause_ms);
    while (partial_.size() < file_.bytes()) {
      const std::uint64_t before = partial_.size();
      const auto response = get();
      if (!problem_.empty()) return fail("{}", problem_);
      if (partial_.size() > before) retry.progressed();
      if (response && response->status >= 200 && response->status <= 299 && partial_.size() == file_.bytes()) break;
      auto why = failure(response);
      if (!why.retry) return fail("{}", why.message);
      if (!retry.wait(response ? response->retry_after_seconds : 0, request_.stop)) {
        return fail("{}", request_.stop.stop_requested() ? "stopped; the next pull goes on from here" : why.message);
      }
    }
    return {};
  }

 private:
  std::expected<HttpResponse, HttpError> get() {
    const HttpRequest http{.url = file_url(request_.access, request_.name, request_.commit, file_.path),
                           .bearer = request_.access.token,
                           .from = partial_.size(),
                           .if_range = strong(partial_.etag()),
                           .stop = request_.stop,
                           .stall_seconds = request_.access.stall_seconds};
    const HttpSinks sinks{.started = [this](const HttpResponse& head) { return start(head); },
                          .body = [this](std::span<const std::byte> bytes) { return take(bytes); }};
    auto response = http_get(http, sinks);
    // Asked for more than there is: what lies here is not what the server has. From the start, then.
    if (response && response->status == 416) keep(partial_.restart());
    return response;
  }

  // Only a strong ETag says that bytes are the same.
  static std::string strong(const std::string& etag) {
    return etag.starts_with('"') && etag.find_first_of("\r\n") == std::string::npos ? etag : std::string();
  }

  bool start(const HttpResponse& head) {
    if (head.status == 206) {
      if (head.range_begin != partial_.size() || (head.range_total && *head.range_total != file_.bytes())) {
        return refuse("the server sends another range than the one asked for");
      }
      return true;
    }
    // The whole file: the server knows no ranges, or the file changed.
    if (auto done = partial_.restart(); !done) return refuse(done.error().message);
    partial_.set_etag(head.etag);
    return true;
  }

  bool take(std::span<const std::byte> bytes) {
    if (bytes.size() > file_.bytes() - partial_.size()) {
      partial_.remove();
      return refuse(fmt::format("{}: the server sends more than the {} bytes that the hub lists", in_quotes(file_.path),
                                file_.bytes()));
    }
    if (!keep(partial_.append(bytes))) return false;
    meter_.file_at(partial_.size());
    return true;
  }

  bool keep(const Result<void>& done) { return done || refuse(done.error().message); }
  bool refuse(std::string why) {
    problem_ = std::move(why);
    return false;
  }

  HttpError failure(const std::expected<HttpResponse, HttpError>& response) const {
    const std::string name = in_quotes(file_.path);
    if (!response && response.error().stopped) return {"stopped; the next pull goes on from here"};
    if (!response)
      return {fmt::format("{}; {} of {} bytes are here, the next pull goes on from there", response.error().message,
                          partial_.size(), file_.bytes()),
              response.error().retry};
    const int status = response->status;
    if (status == 416 || (status >= 200 && status <= 299)) {
      return {fmt::format("{}: the server sent only {} of {} bytes", name, partial_.size(), file_.bytes()), true};
    }
    if (status == 401 || status == 403) {
      return {fmt::format(
          "{}: the hub refuses this file (status {}): accept the model's terms on its page and set HF_TOKEN", name,
          status)};
    }
    return {fmt::format("{}: the server answers with status {}", name, status), is_passing_status(status)};
  }

  const Download& request_;
  const HubFile& file_;
  PartialFile& partial_;
  Meter& meter_;
  std::string problem_;  // a failure on this side, which no other try mends
};

// Gives the folder a file that lies elsewhere on this machine, if it is the one wanted.
Result<bool> link_from_here(const Download& request, const HubFile& file, const std::string& target, Meter& meter) {
  if (!request.find_here) return false;
  const std::string source = request.find_here(file);
  if (source.empty()) return false;
  meter.phase(PullProgress::Phase::kChecking, file.name());
  const auto same = file_matches(source, file.digest, request.stop);
  if (request.stop.stop_requested()) return fail("stopped");
  if (!same || !*same) return false;  // damaged or unreadable there: fetched anew
  std::error_code problem;
  const fs::path real = fs::canonical(source, problem);
  if (problem) return false;
  // A second name costs no room and outlives the other program's copy; across file systems a link must do.
  if (::link(real.c_str(), target.c_str()) == 0) return true;
  return ::symlink(real.c_str(), target.c_str()) == 0;
}

Result<void> fetch_file(const Download& request, const HubFile& file, const std::string& target, Meter& meter) {
  for (;;) {
    auto partial = PartialFile::open(request.folder, file);
    if (!partial) return std::unexpected(partial.error());
    const bool resumed = partial->size() > 0;
    if (resumed) {
      meter.phase(PullProgress::Phase::kChecking, file.name());
      const auto read = digest_file(partial->path(), partial->size(), partial->digest(), request.stop,
                                    [&](std::uint64_t bytes) { meter.file_at(bytes); });
      if (!read) return read;
    }
    meter.phase(PullProgress::Phase::kFetching, file.name());
    if (auto done = FileFetch(request, file, *partial, meter).run(); !done) return done;
    const std::string hex = partial->digest().hex();
    if (hex == file.digest.hex) return partial->finish(target);
    partial->remove();
    // What an earlier run left may have been damaged (a power cut): once more, from the first byte.
    if (!resumed) {
      return fail(
          "{}: its {} is {} but the hub records {}: what was fetched is removed; try again later, or another source",
          in_quotes(file.path), file.digest.kind(), hex, file.digest.hex);
    }
  }
}

Result<void> check_room(const Download& request, std::uint64_t needed) {
  struct statvfs disk{};
  if (::statvfs(request.folder.c_str(), &disk) != 0) return {};
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (needed == 0 || (needed + kSpareBytes > needed && free >= needed + kSpareBytes)) return {};
  return fail(
      "{}: has {} free but {} are to be fetched: free some room, or set XDG_DATA_HOME to a folder on another disk",
      request.folder, size_text(free), size_text(needed));
}

Result<FolderLock> wait_for_lock(const Download& request, Meter& meter) {
  for (bool first = true;; first = false) {
    auto lock = FolderLock::try_lock(request.folder);
    if (!lock) return std::unexpected(lock.error());
    if (*lock) {
      if (!first) meter.phase(PullProgress::Phase::kChecking, "");
      return std::move(**lock);
    }
    if (first) meter.phase(PullProgress::Phase::kWaiting, "");
    std::mutex mutex;
    std::unique_lock hold(mutex);
    std::condition_variable_any never;
    never.wait_for(hold, request.stop, std::chrono::milliseconds(200), [] { return false; });
    if (request.stop.stop_requested()) return fail("stopped while another program pulls this model");
  }
}

// Writes what the folder is to hold, after taking away what an earlier pull put there and this one replaces. Gives the
// digests that the files there are known to have.
Result<std::map<std::string, std::string>> renew_record(const Download& request) {
  PullRecord wanted{request.shown_name, request.name.repo_id(), request.commit, {}};
  for (const auto& file : request.files) wanted.digests[std::string(file.name())] = file.digest.hex;
  const auto before = read_record(request.folder);
  std::map<std::string, std::string> known;
  if (before) {
    for (const auto& [name, digest] : before->digests) {
      const auto still = wanted.digests.find(name);
      if (still != wanted.digests.end() && still->second == digest) {
        known.emplace(name, digest);
        continue;
      }
      std::error_code problem;
      fs::remove(fs::path(request.folder) / name, problem);
      if (problem)
        return fail("{}/{}: is of an older version and cannot be removed: {}", request.folder, name, problem.message());
    }
  }
  if (auto done = write_record(request.folder, wanted); !done) return std::unexpected(done.error());
  return known;
}

// Whether the folder holds a file already. One that no record vouches for is read and checked.
Result<bool> is_there(const Download& request, const HubFile& file, bool known, Meter& meter) {
  const std::string path = (fs::path(request.folder) / file.name()).string();
  std::error_code problem;
  if (const auto size = fs::file_size(path, problem); problem || size != file.bytes()) return false;
  if (known) return true;
  meter.phase(PullProgress::Phase::kChecking, file.name());
  const auto same = file_matches(path, file.digest, request.stop);
  if (request.stop.stop_requested()) return fail("stopped");
  return same && *same;
}

// Bytes still to be fetched of a file that is not there.
std::uint64_t bytes_missing(const Download& request, const HubFile& file) {
  if (request.find_here && !request.find_here(file).empty()) return 0;
  std::error_code problem;
  const auto part = fs::file_size(fs::path(request.folder) / fmt::format(".{}.part", file.digest.hex), problem);
  return file.bytes() - (problem ? 0 : std::min<std::uint64_t>(part, file.bytes()));
}

Result<void> bring(const Download& request, const HubFile& file, Meter& meter) {
  const std::string target = (fs::path(request.folder) / file.name()).string();
  std::error_code problem;
  fs::remove(target, problem);
  const auto linked = link_from_here(request, file, target, meter);
  if (!linked) return std::unexpected(linked.error());
  if (*linked) return {};
  return fetch_file(request, file, target, meter);
}

}  // namespace

Result<void> download(const Download& request) {
  std::uint64_t total = 0;
  for (const auto& file : request.files) {
    FATHOM_CHECK(is_plain_file_name(file.name()));
    if (file.bytes() > std::uint64_t{1} << 50)
      return fail("{}: {} bytes, too many", in_quotes(file.path), file.bytes());
    total += file.bytes();
  }
  std::error_code problem;
  const bool made = fs::create_directories(request.folder, problem);
  if (problem) return fail("{}: cannot create it: {}", request.folder, problem.message());

  Meter meter(request, total);
  const auto lock = wait_for_lock(request, meter);
  if (!lock) return std::unexpected(lock.error());
  const auto known = renew_record(request);
  if (!known) return std::unexpected(known.error());
  std::vector<const HubFile*> missing;
  std::uint64_t bytes = 0;
  for (const auto& file : request.files) {
    const auto there = is_there(request, file, known->contains(std::string(file.name())), meter);
    if (!there) return std::unexpected(there.error());
    if (*there) {
      meter.file_done(file.bytes());
      continue;
    }
    missing.push_back(&file);
    bytes += bytes_missing(request, file);
  }
  if (auto room = check_room(request, bytes); !room) {
    if (made) fs::remove_all(request.folder, problem);  // holds only the record and the lock
    return room;
  }
  for (const auto* file : missing) {
    if (auto done = bring(request, *file, meter); !done) return done;
    meter.file_done(file->bytes());
  }
  meter.phase(PullProgress::Phase::kDone, "");
  return {};
}

}  // namespace fathom::files
