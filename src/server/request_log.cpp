#include "server/request_log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "server/request_record.h"

namespace fathom::server {

namespace {

using files::Json;

// By this name the formatter knows a payload that is an object already.
constexpr std::string_view kRequests = "request";
constexpr std::size_t kPathBytes = 200;
constexpr std::size_t kMethodBytes = 20;
constexpr std::size_t kBodyBytes = std::size_t{64} << 10;

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    using namespace std::chrono;
    const auto since = duration_cast<milliseconds>(message.time.time_since_epoch()).count();
    std::string time = base::rfc3339(since / 1000);
    time.insert(time.size() - 1, fmt::format(".{:03}", since % 1000));
    const auto level = spdlog::level::to_string_view(message.level);
    Json line = {{"time", time}, {"level", std::string_view(level.data(), level.size())}};
    const std::string_view payload(message.payload.data(), message.payload.size());
    const std::string_view logger(message.logger_name.data(), message.logger_name.size());
    std::string text;
    if (logger == kRequests) {
      text = json_text(line);
      text.back() = ',';
      text += payload.substr(1);
    } else {
      line["message"] = payload;
      text = json_text(line);
    }
    text += '\n';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

Json name_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

double milliseconds_of(double seconds) {
  return std::round(seconds * 1e6) / 1e3;
}

Json fields_of(const Request& request, bool prompts) {
  const RequestRecord& record = *request.record;
  Json fields = {{"id", record.id},
                 {"method", request.method.substr(0, kMethodBytes)},
                 {"path", request.path().substr(0, kPathBytes)},
                 {"route", record.route},
                 {"dialect", record.dialect},
                 {"key", name_or_null(record.key)},
                 {"model", name_or_null(record.model)},
                 {"status", record.status},
                 {"error", name_or_null(record.error)},
                 {"complete", record.complete},
                 {"prompt_tokens", record.used.cache_hit_tokens + record.used.cache_miss_tokens},
                 {"cached_tokens", record.used.cache_hit_tokens},
                 {"output_tokens", record.used.output_tokens},
                 {"reasoning_tokens", record.used.reasoning_tokens},
                 {"queue_ms", milliseconds_of(record.queue_seconds)},
                 {"first_token_ms", milliseconds_of(record.first_token_seconds)},
                 {"ms", milliseconds_of(record.seconds())}};
  if (prompts) fields["body"] = record.body.substr(0, kBodyBytes);
  return fields;
}

// "id=req-1 method=GET ...": a value that is more than one plain word stands in quotation marks, what is null is left
// out.
std::string words_of(const Json& fields) {
  std::string text = "request";
  for (const auto& [name, value] : fields.items()) {
    if (value.is_null()) continue;
    const bool plain = value.is_string() && !value.get_ref<const std::string&>().empty() &&
                       std::ranges::all_of(value.get_ref<const std::string&>(),
                                           [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '='; });
    text += fmt::format(" {}={}", name, plain ? value.get_ref<const std::string&>() : json_text(value));
  }
  return text;
}

}  // namespace

base::Result<std::shared_ptr<RequestLog>> RequestLog::open(const LogOptions& options) {
  spdlog::sink_ptr sink;
  try {
    if (options.file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    }
  } catch (const spdlog::spdlog_ex& failure) {
    return base::fail("--log-file {}: {}", options.file, failure.what());
  }
  const auto make = [&](std::string name) {
    auto logger = std::make_shared<spdlog::logger>(std::move(name), sink);
    if (options.json) {
      logger->set_formatter(std::make_unique<JsonFormatter>());
    } else {
      logger->set_formatter(
          std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
    }
    logger->flush_on(spdlog::level::info);
    if (options.quiet) logger->set_level(spdlog::level::warn);
    return logger;
  };
  spdlog::set_default_logger(make("server"));
  return std::shared_ptr<RequestLog>(new RequestLog(make(std::string(kRequests)), options));
}

RequestLog::RequestLog(std::shared_ptr<spdlog::logger> logger, const LogOptions& options)
    : logger_(std::move(logger)), json_(options.json), prompts_(options.prompts) {}

void RequestLog::write(const Request& request) const {
  const auto level = request.record->status >= 500 ? spdlog::level::warn : spdlog::level::info;
  if (!logger_->should_log(level)) return;
  const Json fields = fields_of(request, prompts_);
  logger_->log(level, "{}", json_ ? json_text(fields) : words_of(fields));
}

}  // namespace fathom::server
