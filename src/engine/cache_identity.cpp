#include "engine/cache_identity.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "files/mapped_file.h"

namespace fathom::engine {

namespace fs = std::filesystem;

namespace {

class Hash {
 public:
  Hash() { XXH3_128bits_reset(state_.get()); }
  void add(std::span<const std::byte> bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }
  void add(std::string_view text) {
    add(std::uint64_t{text.size()});
    add(std::as_bytes(std::span(text)));
  }
  void add(std::uint64_t value) { add(std::as_bytes(std::span(&value, 1))); }
  // Of a long run of bytes: its length, and its beginning, middle and end.
  void add_samples(std::span<const std::byte> bytes, std::size_t sample) {
    add(std::uint64_t{bytes.size()});
    if (bytes.size() <= 3 * sample) return add(bytes);
    add(bytes.first(sample));
    add(bytes.subspan(bytes.size() / 2, sample));
    add(bytes.last(sample));
  }
  PageKey result() const {
    const XXH128_hash_t h = XXH3_128bits_digest(state_.get());
    return {h.low64, h.high64};
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
};

void add_file_status(const std::string& path, Hash& hash) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return;
  hash.add(static_cast<std::uint64_t>(status.st_size));
  hash.add(static_cast<std::uint64_t>(status.st_mtim.tv_sec));
  hash.add(static_cast<std::uint64_t>(status.st_mtim.tv_nsec));
}

void add_files(const std::string& path, Hash& hash) {
  std::vector<std::string> names{path};
  std::error_code error;
  if (fs::is_directory(path, error)) {
    names.clear();
    for (const auto& entry : fs::directory_iterator(path, error))
      if (entry.is_regular_file(error)) names.push_back(entry.path().string());
    std::ranges::sort(names);
  }
  for (const std::string& name : names) {
    hash.add(std::string_view(fs::path(name).extension().native()));
    add_file_status(name, hash);
    if (const auto file = files::MappedFile::open(name)) hash.add_samples(file->bytes(), std::size_t{1} << 18);
  }
}

}  // namespace

PageKey cache_identity(Runner& runner) {
  Hash hash;
  add_file_status("/proc/self/exe", hash);
  const auto& resources = runner.resources();
  const model::CacheLayout& cache = resources.cache;
  hash.add(resources.table->name);
  for (const auto n : {static_cast<std::int64_t>(resources.pack), static_cast<std::int64_t>(cache.type), cache.layers,
                       cache.page_tokens, static_cast<std::int64_t>(cache.page_bytes()),
                       static_cast<std::int64_t>(runner.prefill_cell()), static_cast<std::int64_t>(runner.two_forms()),
                       static_cast<std::int64_t>(runner.model().config().architecture)})
    hash.add(static_cast<std::uint64_t>(n));
  if (runner.has_files()) add_files(runner.checkpoint().path(), hash);
  for (const auto& spec : runner.mutable_model().describe()) {
    hash.add(spec.name);
    for (const std::int64_t d : spec.shape) hash.add(static_cast<std::uint64_t>(d));
    if (spec.matrix != nullptr && *spec.matrix) {
      hash.add(static_cast<std::uint64_t>(spec.matrix->dtype));
      hash.add_samples({spec.matrix->data, spec.matrix->bytes()}, 4096);
    }
    if (spec.vector != nullptr) hash.add(std::as_bytes(std::span<const float>(*spec.vector)));
  }
  return hash.result();
}

}  // namespace fathom::engine
