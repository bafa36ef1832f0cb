#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "base/process.h"

namespace fathom::server {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;
// A Prometheus number is a double whatever it counts.
double as_double(auto value) {
  return static_cast<double>(value);
}

// Families whose values are read when they are asked for.
class Reading {
 public:
  // The samples that follow are of this family, until the next one.
  void family(std::string name, std::string help, MetricType type) {
    families_.push_back({.name = std::move(name), .help = std::move(help), .type = type, .metric = {}});
  }
  void sample(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (families_.back().type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = value;
    families_.back().metric.push_back(std::move(metric));
  }
  void sample(const engine::LatencyCounts& counts, Labels labels) {
    ClientMetric metric;
    metric.label = std::move(labels);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < counts.counts.size(); ++i) {
      sum += counts.counts[i];
      const bool last = i == counts.kBounds.size();
      metric.histogram.bucket.push_back(
          {.cumulative_count = sum, .upper_bound = last ? std::numeric_limits<double>::infinity() : counts.kBounds[i]});
    }
    metric.histogram.sample_count = sum;
    metric.histogram.sample_sum = counts.sum;
    families_.back().metric.push_back(std::move(metric));
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

struct EngineSample {
  std::string name;
  engine::EngineStatus status;

  Labels labels(std::string name_of_label = {}, std::string value = {}) const {
    Labels all{{"model", name}};
    if (!name_of_label.empty()) all.push_back({std::move(name_of_label), std::move(value)});
    return all;
  }
};

// One family with a sample, or several, of each model.
template <class Add>
void family_of_each(Reading& reading, std::span<const EngineSample> models, std::string name, std::string help,
                    MetricType type, Add add) {
  reading.family(std::move(name), std::move(help), type);
  for (const EngineSample& model : models) add(model, model.status);
}

void read_engines(Reading& reading, std::span<const EngineSample> models) {
  using enum MetricType;
  using engine::EngineStatus;
  family_of_each(reading, models, "fathom_runs", "Answers under way, by whether their turn has come.", Gauge,
                 [&](const EngineSample& m, const EngineStatus& s) {
                   reading.sample(as_double(s.waiting), m.labels("state", "waiting"));
                   reading.sample(as_double(s.running), m.labels("state", "running"));
                 });
  family_of_each(
      reading, models, "fathom_tokens_total",
      "Tokens: of prompts that were computed (prefill) or found in the cache (cached), and of answers (decode).",
      Counter, [&](const EngineSample& m, const EngineStatus& s) {
        reading.sample(as_double(s.prompt_tokens - s.prompt_tokens_reused), m.labels("phase", "prefill"));
        reading.sample(as_double(s.prompt_tokens_reused), m.labels("phase", "cached"));
        reading.sample(as_double(s.generated_tokens), m.labels("phase", "decode"));
      });
  family_of_each(reading, models, "fathom_first_token_seconds", "From a run's coming to its first token.", Histogram,
                 [&](const EngineSample& m, const EngineStatus& s) { reading.sample(s.first_token, m.labels()); });
  family_of_each(reading, models, "fathom_between_tokens_seconds", "From one token of a run to the next.", Histogram,
                 [&](const EngineSample& m, const EngineStatus& s) { reading.sample(s.between_tokens, m.labels()); });
  family_of_each(reading, models, "fathom_cache_pages", "Pages of cache: of runs, kept for runs to come, free.", Gauge,
                 [&](const EngineSample& m, const EngineStatus& s) {
                   reading.sample(as_double(s.pages_in_use), m.labels("state", "in_use"));
                   reading.sample(as_double(s.pages_kept), m.labels("state", "kept"));
                   reading.sample(as_double(s.pages - s.pages_in_use - s.pages_kept), m.labels("state", "free"));
                 });
  family_of_each(
      reading, models, "fathom_cache_page_bytes", "The size of a page.", Gauge,
      [&](const EngineSample& m, const EngineStatus& s) { reading.sample(as_double(s.page_bytes), m.labels()); });
  family_of_each(reading, models, "fathom_cache_hit_pages_total",
                 "Pages that prompts began with, by where they were kept.", Counter,
                 [&](const EngineSample& m, const EngineStatus& s) {
                   reading.sample(as_double(s.pages_from_memory), m.labels("from", "memory"));
                   reading.sample(as_double(s.pages_from_disk), m.labels("from", "disk"));
                 });
  family_of_each(reading, models, "fathom_drafted_tokens_total",
                 "Tokens guessed ahead, by whether the guess was right.", Counter,
                 [&](const EngineSample& m, const EngineStatus& s) {
                   reading.sample(as_double(s.accepted_tokens), m.labels("guess", "accepted"));
                   reading.sample(as_double(s.drafted_tokens - s.accepted_tokens), m.labels("guess", "rejected"));
                 });
  family_of_each(
      reading, models, "fathom_runs_set_aside_total", "How often a run made room for older ones.", Counter,
      [&](const EngineSample& m, const EngineStatus& s) { reading.sample(as_double(s.set_aside), m.labels()); });
  family_of_each(
      reading, models, "fathom_runs_expired_total", "Runs whose turn did not come within the queue's limit.", Counter,
      [&](const EngineSample& m, const EngineStatus& s) { reading.sample(as_double(s.expired), m.labels()); });
}

void read_disk(Reading& reading, const engine::DiskCache& disk) {
  using enum MetricType;
  const engine::DiskCache::Status now = disk.status();
  reading.family("fathom_disk_cache_bytes", "What the cache on disk holds.", Gauge);
  reading.sample(as_double(now.bytes));
  reading.family("fathom_disk_cache_pages", "The same in pages.", Gauge);
  reading.sample(as_double(now.pages));
  reading.family("fathom_disk_cache_operations_total",
                 "Pages read, written, found damaged, and that could not be written.", Counter);
  reading.sample(as_double(now.read), {{"operation", "read"}});
  reading.sample(as_double(now.written), {{"operation", "written"}});
  reading.sample(as_double(now.damaged), {{"operation", "damaged"}});
  reading.sample(as_double(now.failed_writes), {{"operation", "failed"}});
}

void read_process(Reading& reading) {
  using enum MetricType;
  const base::ProcessUse use = base::process_use();
  reading.family("process_resident_memory_bytes", "Resident memory.", Gauge);
  reading.sample(as_double(use.resident_bytes));
  reading.family("process_virtual_memory_bytes", "Virtual memory.", Gauge);
  reading.sample(as_double(use.virtual_bytes));
  reading.family("process_cpu_seconds_total", "User and system time.", Counter);
  reading.sample(use.cpu_seconds);
  reading.family("process_open_fds", "Open file descriptors.", Gauge);
  reading.sample(as_double(use.open_files));
  reading.family("process_max_fds", "How many there may be.", Gauge);
  reading.sample(as_double(use.most_open_files));
  reading.family("process_threads", "Threads.", Gauge);
  reading.sample(as_double(use.threads));
}

}  // namespace

struct Metrics::Counts {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                                          .Name("fathom_requests_total")
                                                          .Help("Requests that are over, by route, dialect and status.")
                                                          .Register(registry);
  prometheus::Family<prometheus::Counter>& errors =
      prometheus::BuildCounter().Name("fathom_errors_total").Help("What went wrong, by its code.").Register(registry);
  prometheus::Family<prometheus::Counter>& cut = prometheus::BuildCounter()
                                                     .Name("fathom_answers_cut_total")
                                                     .Help("Answers that did not go out to their end: the client left.")
                                                     .Register(registry);
  prometheus::Family<prometheus::Histogram>& seconds = prometheus::BuildHistogram()
                                                           .Name("fathom_request_seconds")
                                                           .Help("From a request's first byte to its answer's last.")
                                                           .Register(registry);
  prometheus::Gauge& connections = prometheus::BuildGauge()
                                       .Name("fathom_connections")
                                       .Help("Open connections of clients.")
                                       .Register(registry)
                                       .Add({});
  prometheus::Gauge& streams =
      prometheus::BuildGauge().Name("fathom_streams").Help("Answers that are being sent.").Register(registry).Add({});
};

Metrics::Metrics(std::shared_ptr<const engine::DiskCache> disk)
    : disk_(std::move(disk)), counts_(std::make_unique<Counts>()) {}

Metrics::~Metrics() = default;

void Metrics::ended(const RequestRecord& record) {
  const std::string route(record.route), dialect(record.dialect);
  counts_->requests.Add({{"route", route}, {"dialect", dialect}, {"status", std::to_string(record.status)}})
      .Increment();
  if (!record.error.empty()) counts_->errors.Add({{"code", record.error}}).Increment();
  if (!record.complete) counts_->cut.Add({{"route", route}}).Increment();
  const auto& bounds = engine::LatencyCounts::kBounds;
  counts_->seconds.Add({{"dialect", dialect}}, prometheus::Histogram::BucketBoundaries(bounds.begin(), bounds.end()))
      .Observe(record.seconds());
}

void Metrics::connections(std::size_t open) {
  counts_->connections.Set(as_double(open));
}

void Metrics::streams(int change) {
  counts_->streams.Increment(change);
}

std::string Metrics::text(std::span<const std::shared_ptr<engine::LoadedModel>> models) const {
  std::vector<EngineSample> statuses;
  for (const auto& model : models) statuses.push_back({model->name(), model->engine().status()});
  Reading reading;
  read_engines(reading, statuses);
  if (disk_) read_disk(reading, *disk_);
  read_process(reading);
  std::ostringstream out;
  const prometheus::TextSerializer serializer;
  serializer.Serialize(out, counts_->registry.Collect());
  serializer.Serialize(out, reading.take());
  return out.str();
}

}  // namespace fathom::server
