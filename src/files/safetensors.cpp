// Reading and writing safetensors: u64 header length, a JSON object of {name: {dtype, shape, data_offsets}}, data.
#include "files/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "files/file_name.h"
#include "files/in_quotes.h"
#include "files/json.h"
#include "files/new_file.h"

namespace fathom::files {
namespace {

static_assert(std::endian::native == std::endian::little, "the header's length is read as it lies");

using base::DType;
using base::fail;
using base::Result;
namespace fs = std::filesystem;

constexpr std::uint64_t kLongestHeader = 100'000'000;  // the limit of the reference implementation
constexpr std::size_t kMostShards = 10'000;
constexpr std::string_view kIndexName = "model.safetensors.index.json";

struct Word {
  std::string_view word;
  DType dtype;
};
constexpr std::array<Word, 12> kWords{{
    {"F32", DType::kF32},
    {"F16", DType::kF16},
    {"BF16", DType::kBF16},
    {"F8_E4M3", DType::kF8E4M3},
    {"F8_E8M0", DType::kF8E8M0},
    {"F64", DType::kF64},
    {"I8", DType::kI8},
    {"I16", DType::kI16},
    {"I32", DType::kI32},
    {"I64", DType::kI64},
    {"U8", DType::kU8},
    {"BOOL", DType::kBool},
}};

std::optional<DType> dtype_of(std::string_view word) {
  const auto* found = std::ranges::find(kWords, word, &Word::word);
  return found == kWords.end() ? std::nullopt : std::optional(found->dtype);
}

std::optional<std::string_view> word_of(DType dtype) {
  const auto* found = std::ranges::find(kWords, dtype, &Word::dtype);
  return found == kWords.end() ? std::nullopt : std::optional(found->word);
}

// A JSON number that is a count: not negative, and below 2^63.
std::optional<std::int64_t> count_of(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

// One entry of the header as a tensor over `data`.
Result<base::Tensor> read_entry(const std::string& name, const Json& entry, std::span<const std::byte> data) {
  const auto bad = [&](std::string_view what) { return fail("tensor {}: {}", in_quotes(name), what); };
  if (!entry.is_object()) return bad("its entry is not an object");
  const Json* type = member(entry, "dtype");
  const Json* shape = member(entry, "shape");
  const Json* offsets = member(entry, "data_offsets");
  if (type == nullptr || !type->is_string() || shape == nullptr || !shape->is_array() || offsets == nullptr ||
      !offsets->is_array() || offsets->size() != 2) {
    return bad("expected dtype, shape and data_offsets");
  }
  const auto dtype = dtype_of(type->get_ref<const std::string&>());
  if (!dtype) return bad(fmt::format("dtype {} is not supported", in_quotes(type->get_ref<const std::string&>())));
  if (shape->size() > 4) return bad(fmt::format("{} dimensions, at most 4 are known", shape->size()));

  base::Tensor tensor{.dtype = *dtype, .rank = static_cast<int>(shape->size())};
  // The product of what is not 0 must fit too: who multiplies the dimensions in another order must not overflow.
  std::uint64_t product = base::info(*dtype).block_bytes;
  bool empty = false;
  for (std::size_t i = 0; i < shape->size(); ++i) {
    const auto length = count_of((*shape)[i]);
    if (!length) return bad("a dimension that is not a count");
    empty |= *length == 0;
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(*length, 1));
    if (product > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / factor) {
      return bad("its dimensions overflow");
    }
    product *= factor;
    tensor.shape[i] = *length;
  }
  const std::uint64_t bytes = empty ? 0 : product;
  const auto begin = count_of((*offsets)[0]), end = count_of((*offsets)[1]);
  if (!begin || !end || *begin > *end) return bad("data_offsets are not a range");
  if (static_cast<std::uint64_t>(*end) > data.size()) {
    return bad(
        fmt::format("its bytes end at {} but the file has {} bytes of data: cut off or damaged", *end, data.size()));
  }
  if (static_cast<std::uint64_t>(*end - *begin) != bytes) {
    return bad(fmt::format("{} bytes of data, but its shape and dtype take {}", *end - *begin, bytes));
  }
  tensor.data = data.data() + *begin;
  return tensor;
}

struct File {
  std::vector<SafetensorsTensor> tensors;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};

Result<void> read_metadata(const Json& entry, std::map<std::string, std::string>& metadata) {
  if (!entry.is_object()) return fail("__metadata__ is not an object");
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) return fail("__metadata__ {} is not text", in_quotes(key));
    metadata.emplace(key, value.get<std::string>());
  }
  return {};
}

Result<void> check_places(const File& file, std::uint64_t header) {
  const SafetensorsTensor* last = nullptr;
  for (const auto& entry : file.tensors) {
    if (entry.tensor.bytes() == 0) continue;
    if (last != nullptr && last->tensor.data + last->tensor.bytes() > entry.tensor.data) {
      return fail("tensors {} and {} overlap", in_quotes(last->name), in_quotes(entry.name));
    }
    last = &entry;
  }
  for (const auto& [name, tensor] : file.tensors) {
    const std::size_t width = base::info(tensor.dtype).block_bytes;
    if (reinterpret_cast<std::uintptr_t>(tensor.data) % width != 0) {
      return fail(
          "tensor {} does not lie on a boundary of its {} bytes (header of {}): save the file anew with a current "
          "safetensors library",
          in_quotes(name), width, header);
    }
  }
  return {};
}

Result<File> read_file(std::span<const std::byte> bytes) {
  std::uint64_t header = 0;
  if (bytes.size() < sizeof(header)) return fail("has {} bytes: not a safetensors file", bytes.size());
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto rest = bytes.subspan(sizeof(header));
  if (header > kLongestHeader) {
    return fail("says its header has {} bytes, at most {} are allowed: not a safetensors file", header, kLongestHeader);
  }
  if (header > rest.size()) return fail("ends inside its header of {} bytes: cut off or damaged", header);
  const auto text = rest.first(static_cast<std::size_t>(header));
  const auto data = rest.subspan(static_cast<std::size_t>(header));
  const auto json = parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, "header", {.depth = 4});
  if (!json) return std::unexpected(json.error());
  if (!json->is_object()) return fail("header: not a JSON object");

  File file;
  for (const auto& [name, entry] : json->items()) {
    if (name == "__metadata__") {
      if (auto done = read_metadata(entry, file.metadata); !done) return std::unexpected(done.error());
      continue;
    }
    if (name.empty()) return fail("has a tensor without a name");
    auto tensor = read_entry(name, entry, data);
    if (!tensor) return std::unexpected(tensor.error());
    file.tensors.push_back({name, *tensor});
  }
  // Empty tensors may share an address; their names settle the order.
  std::ranges::sort(file.tensors, {}, [](const auto& t) { return std::pair(t.tensor.data, std::string_view(t.name)); });
  if (auto done = check_places(file, header); !done) return std::unexpected(done.error());
  return file;
}

using WeightMap = std::map<std::string, std::string, std::less<>>;  // tensor to shard

Result<WeightMap> read_index(const std::string& path) {
  const auto json = read_json(path, {.bytes = kLongestHeader, .depth = 8});
  if (!json) return std::unexpected(json.error());
  const Json* map = member(*json, "weight_map");
  if (map == nullptr || !map->is_object()) return fail("{}: expected an object with a weight_map", path);
  WeightMap shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) return fail("{}: the shard of {} is not a name", path, in_quotes(tensor));
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(name) || !name.ends_with(".safetensors")) {
      return fail("{}: the shard of {} is {}, expected the plain name of a .safetensors file", path, in_quotes(tensor),
                  in_quotes(name));
    }
    shards.emplace(tensor, name);
  }
  if (shards.empty()) return fail("{}: its weight_map is empty", path);
  return shards;
}

Result<void> check_shards_there(const std::string& folder, const std::set<std::string>& names) {
  std::string first;
  std::size_t missing = 0;
  std::error_code ignored;
  for (const auto& name : names) {
    if (fs::exists(fs::path(folder) / name, ignored)) continue;
    if (missing++ == 0) first = name;
  }
  if (missing == 0) return {};
  if (missing == 1)
    return fail("{}/{}: missing; the model is in {} parts: get this one too", folder, first, names.size());
  return fail("{}/{}: missing, as are {} more of the model's {} parts: get them too", folder, first, missing - 1,
              names.size());
}

}  // namespace

Result<Safetensors> Safetensors::parse(std::span<const std::byte> bytes, std::string_view name) {
  auto file = read_file(bytes);
  if (!file) return base::fail_with(name, file.error());
  Safetensors opened;
  opened.path_ = name;
  opened.file_bytes_ = bytes.size();
  opened.tensors_ = std::move(file->tensors);
  opened.metadata_ = std::move(file->metadata);
  if (auto done = opened.index_names(); !done) return base::fail_with(name, done.error());
  return opened;
}

Result<Safetensors> Safetensors::open_file(const std::string& path) {
  auto map = MappedFile::open(path);
  if (!map) return std::unexpected(map.error());
  auto opened = parse(map->bytes(), path);
  if (opened) opened->maps_.push_back(std::move(*map));
  return opened;
}

Result<Safetensors> Safetensors::open_index(const std::string& folder) {
  const std::string index = (fs::path(folder) / kIndexName).string();
  const auto weights = read_index(index);
  if (!weights) return std::unexpected(weights.error());
  std::set<std::string> names;
  for (const auto& [tensor, shard] : *weights) names.insert(shard);
  if (names.size() > kMostShards) return fail("{}: names {} shards, too many", index, names.size());
  if (auto done = check_shards_there(folder, names); !done) return std::unexpected(done.error());

  Safetensors all;
  all.path_ = folder;
  for (const auto& name : names) {
    auto shard = open_file((fs::path(folder) / name).string());
    if (!shard) return shard;
    for (auto& entry : shard->tensors_) {
      const auto place = weights->find(entry.name);
      if (place != weights->end() && place->second == name) all.tensors_.push_back(std::move(entry));
    }
    if (all.maps_.empty()) all.metadata_ = std::move(shard->metadata_);
    all.file_bytes_ += shard->file_bytes_;
    all.maps_.push_back(std::move(shard->maps_[0]));
  }
  if (auto done = all.index_names(); !done) return base::fail_with(folder, done.error());
  for (const auto& [tensor, shard] : *weights) {
    if (!all.index_.contains(tensor))
      return fail("{}/{}: holds no tensor {}, which the index puts there", folder, shard, in_quotes(tensor));
  }
  return all;
}

Result<Safetensors> Safetensors::open(const std::string& path) {
  std::error_code problem;
  if (!fs::is_directory(path, problem)) return open_file(path);
  const fs::path folder(path);
  if (fs::exists(folder / "model.safetensors", problem)) return open_file((folder / "model.safetensors").string());
  if (fs::exists(folder / kIndexName, problem)) return open_index(path);
  std::vector<std::string> found;
  for (auto entry = fs::directory_iterator(folder, problem); !problem && entry != fs::directory_iterator();
       entry.increment(problem)) {
    if (entry->path().extension() == ".safetensors") found.push_back(entry->path().string());
  }
  if (problem) return fail("{}: cannot be listed: {}", path, problem.message());
  if (found.size() == 1) return open_file(found[0]);
  if (found.empty()) return fail("{}: holds no .safetensors file", path);
  return fail("{}: holds {} .safetensors files but no {}: get that file too", path, found.size(), kIndexName);
}

Result<void> Safetensors::index_names() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second)
      return fail("has the tensor {} twice", in_quotes(tensors_[i].name));
  }
  return {};
}

const base::Tensor* Safetensors::tensor(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second].tensor;
}

Result<void> write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  // Wide elements first, as the reference writes them: with no holes allowed, this keeps every tensor aligned.
  std::vector<const SafetensorsTensor*> order;
  for (const auto& entry : tensors) order.push_back(&entry);
  std::ranges::sort(order, {}, [](const auto* t) {
    return std::pair(-static_cast<int>(base::info(t->tensor.dtype).block_bytes), std::string_view(t->name));
  });

  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names;
  std::uint64_t end = 0;
  for (const auto* entry : order) {
    const auto& tensor = entry->tensor;
    const auto word = word_of(tensor.dtype);
    if (!word)
      return fail("{}: tensor {} is {}, which safetensors cannot hold", path, in_quotes(entry->name),
                  base::info(tensor.dtype).name);
    if (entry->name == "__metadata__" || !names.insert(entry->name).second) {
      return fail("{}: the tensor name {} is taken", path, in_quotes(entry->name));
    }
    Json shape = Json::array();
    for (int i = 0; i < tensor.rank; ++i) shape.push_back(tensor.dim(i));
    Json value = {{"dtype", *word}, {"shape", std::move(shape)}, {"data_offsets", {end, end + tensor.bytes()}}};
    header.get_ref<Json::object_t&>().emplace_back(entry->name, std::move(value));
    end += tensor.bytes();
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kLongestHeader) return fail("{}: {} tensors are too many for one file", path, tensors.size());

  auto file = NewFile::create(path);
  if (!file) return std::unexpected(file.error());
  const std::uint64_t length = text.size();
  auto done = file->reserve(sizeof(length) + length + end);
  if (done) done = file->write(std::as_bytes(std::span(&length, 1)));
  if (done) done = file->write(text);
  for (const auto* entry : order)
    if (done) done = file->write({entry->tensor.data, entry->tensor.bytes()});
  return done ? file->commit() : done;
}

}  // namespace fathom::files
