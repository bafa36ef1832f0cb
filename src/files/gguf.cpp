// Reading GGUF. The header is walked once by a reader that knows where the bytes end; nothing is allocated for a count
// that the bytes could not hold.
#include "files/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>

#include "files/gguf_types.h"
#include "files/in_quotes.h"

namespace fathom::files {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF's numbers are read as they lie");

using base::fail;
using base::Result;

// Limits far above what is in use (a vocabulary has 129,280 entries, an unstacked 671B model 46,000 tensors), and low
// enough that a small hostile file cannot ask for gigabytes: an item in memory takes at most 16 bytes.
constexpr std::uint64_t kMostKeys = 1 << 16;
constexpr std::uint64_t kMostTensors = 1 << 20;
constexpr std::uint64_t kMostItems = 1 << 25;  // of all arrays together
constexpr std::uint64_t kLongestName = 1 << 16;
constexpr std::uint64_t kLargestAlignment = 1 << 20;
constexpr std::int64_t kMostParts = 65535;  // split.count is a u16

using namespace gguf_type;

// Bytes that an item takes in the file, for a string at least; 0 for a type that does not exist.
std::uint64_t least_bytes(std::uint32_t type) {
  constexpr std::uint64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

// The value of a result turned into another, failures passed on. (The library of GCC 12 has no `transform`.)
template <class To, class From>
Result<To> as(Result<From> result) {
  if (!result) return std::unexpected(std::move(result.error()));
  return static_cast<To>(std::move(*result));
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }

  template <class T>
  Result<T> read(std::string_view what) {
    if (left() < sizeof(T)) return cut_off(what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  Result<std::string_view> string(std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    if (!length) return std::unexpected(length.error());
    if (*length > left()) return cut_off(what);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + at_), static_cast<std::size_t>(*length));
    at_ += text.size();
    return text;
  }

  Result<std::int64_t> integer(std::uint32_t type, std::string_view what) {
    switch (type) {
      case kU8:
        return as<std::int64_t>(read<std::uint8_t>(what));
      case kI8:
        return as<std::int64_t>(read<std::int8_t>(what));
      case kU16:
        return as<std::int64_t>(read<std::uint16_t>(what));
      case kI16:
        return as<std::int64_t>(read<std::int16_t>(what));
      case kU32:
        return as<std::int64_t>(read<std::uint32_t>(what));
      case kI32:
        return as<std::int64_t>(read<std::int32_t>(what));
      case kI64:
        return read<std::int64_t>(what);
      case kBool:
        return as<std::int64_t>(as<bool>(read<std::uint8_t>(what)));
      default:
        break;
    }
    const auto wide = read<std::uint64_t>(what);
    if (!wide) return std::unexpected(wide.error());
    if (*wide > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return fail("{} is {}, larger than any number used in models", what, *wide);
    }
    return static_cast<std::int64_t>(*wide);
  }

  Result<double> real(std::uint32_t type, std::string_view what) {
    if (type == kF64) return read<double>(what);
    return as<double>(read<float>(what));
  }

  std::unexpected<base::Error> cut_off(std::string_view what) const {
    return fail("ends at byte {}, inside {}: the file is cut off or damaged", bytes_.size(), what);
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
};

bool is_integer(std::uint32_t type) {
  return type <= kI32 || type == kU64 || type == kI64;
}

struct Part {
  std::map<std::string_view, GgufValue> values;
  std::map<std::string_view, std::span<const std::byte>> encoded;
  std::vector<GgufTensor> tensors;
};

class PartReader {
 public:
  explicit PartReader(std::span<const std::byte> bytes) : bytes_(bytes), in_(bytes) {}

  Result<Part> read() {
    const auto counts = read_counts();
    if (!counts) return std::unexpected(counts.error());
    for (std::uint64_t i = 0; i < counts->keys; ++i)
      if (auto done = read_value(); !done) return std::unexpected(done.error());
    offsets_.reserve(static_cast<std::size_t>(counts->tensors));
    part_.tensors.reserve(static_cast<std::size_t>(counts->tensors));
    for (std::uint64_t i = 0; i < counts->tensors; ++i)
      if (auto done = read_tensor(); !done) return std::unexpected(done.error());
    if (auto done = place_tensors(); !done) return std::unexpected(done.error());
    return std::move(part_);
  }

 private:
  struct Counts {
    std::uint64_t tensors, keys;
  };

  Result<Counts> read_counts() {
    const auto magic = in_.read<std::array<char, 4>>("the magic number");
    if (!magic) return std::unexpected(magic.error());
    if (std::string_view(magic->data(), 4) != "GGUF") {
      return fail("starts with {}, expected 'GGUF': not a GGUF file", in_quotes({magic->data(), 4}));
    }
    const auto version = in_.read<std::uint32_t>("the version");
    if (!version) return std::unexpected(version.error());
    if (*version == 0x02000000 || *version == 0x03000000)
      return fail("is a big-endian GGUF, only little-endian is read");
    if (*version != 2 && *version != 3) {
      return fail("is GGUF version {}, versions 2 and 3 are read: convert the model anew", *version);
    }
    const auto tensors = in_.read<std::uint64_t>("the number of tensors");
    if (!tensors) return std::unexpected(tensors.error());
    const auto keys = in_.read<std::uint64_t>("the number of keys");
    if (!keys) return std::unexpected(keys.error());
    // The least a tensor takes: name length, n_dims, type, offset. The least a key takes: name length, type, one byte.
    if (*tensors > kMostTensors) return fail("says it holds {} tensors, too many", *tensors);
    if (*keys > kMostKeys) return fail("says it holds {} keys, too many", *keys);
    if (*tensors > in_.left() / 24 || *keys > in_.left() / 13) {
      return in_.cut_off(fmt::format("the list of its {} keys and {} tensors", *keys, *tensors));
    }
    return Counts{*tensors, *keys};
  }

  Result<std::string_view> read_name(std::string_view what) {
    const auto name = in_.string(what);
    if (!name) return name;
    if (name->empty() || name->size() > kLongestName) return fail("{} has {} bytes", what, name->size());
    return name;
  }

  Result<void> read_value() {
    const auto key = read_name("the name of a key");
    if (!key) return std::unexpected(key.error());
    const std::string what = "the value of " + in_quotes(*key);
    const auto begin = static_cast<std::size_t>(in_.at());
    const auto type = in_.read<std::uint32_t>(what);
    if (!type) return std::unexpected(type.error());
    auto value = read_value_of(*type, what);
    if (!value) return std::unexpected(value.error());
    part_.encoded.emplace(*key, bytes_.subspan(begin, static_cast<std::size_t>(in_.at()) - begin));
    if (!part_.values.emplace(*key, std::move(*value)).second) return fail("has the key {} twice", in_quotes(*key));
    return {};
  }

  Result<GgufValue> read_value_of(std::uint32_t type, std::string_view what) {
    if (type == kBool) return as<GgufValue>(as<bool>(in_.integer(type, what)));
    if (type == kF32 || type == kF64) return as<GgufValue>(in_.real(type, what));
    if (type == kString) return as<GgufValue>(in_.string(what));
    if (type == kArray) return as<GgufValue>(read_array(what));
    if (is_integer(type)) return as<GgufValue>(in_.integer(type, what));
    return fail("{} has the unknown type {}", what, type);
  }

  Result<GgufArray> read_array(std::string_view what) {
    const auto type = in_.read<std::uint32_t>(what);
    if (!type) return std::unexpected(type.error());
    const auto count = in_.read<std::uint64_t>(what);
    if (!count) return std::unexpected(count.error());
    const std::uint64_t least = least_bytes(*type);
    if (least == 0) return fail("{} is an array of the unknown type {}", what, *type);
    if (*type == kArray) return fail("{} is an array of arrays, which no known model has", what);
    if (*count > in_.left() / least) return in_.cut_off(what);
    if (*count > kMostItems - items_) return fail("{} has {} items, too many", what, *count);
    items_ += *count;
    const auto n = static_cast<std::size_t>(*count);
    if (*type == kString) return read_items<std::string_view>(n, [&] { return in_.string(what); });
    if (*type == kF32 || *type == kF64) return read_items<double>(n, [&] { return in_.real(*type, what); });
    return read_items<std::int64_t>(n, [&] { return in_.integer(*type, what); });
  }

  template <class T, class Next>
  Result<GgufArray> read_items(std::size_t count, Next next) {
    std::vector<T> items;
    items.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      auto item = next();
      if (!item) return std::unexpected(item.error());
      items.push_back(*item);
    }
    return GgufArray(std::move(items));
  }

  Result<void> read_tensor() {
    const auto name = read_name("the name of a tensor");
    if (!name) return std::unexpected(name.error());
    const std::string what = "the entry of tensor " + in_quotes(*name);
    const auto rank = in_.read<std::uint32_t>(what);
    if (!rank) return std::unexpected(rank.error());
    if (*rank > 4) return fail("tensor {} has {} dimensions, at most 4 are known", in_quotes(*name), *rank);
    base::Tensor tensor;
    tensor.rank = static_cast<int>(*rank);
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < *rank; ++i) {
      const auto length = in_.read<std::uint64_t>(what);
      if (!length) return std::unexpected(length.error());
      if (*length == 0 || *length > std::uint64_t(std::numeric_limits<std::int64_t>::max()) / elements) {
        return fail("tensor {} has an impossible dimension of {}", in_quotes(*name), *length);
      }
      elements *= *length;
      tensor.shape[*rank - 1 - i] = static_cast<std::int64_t>(*length);  // fastest first in the file
    }
    const auto type = in_.read<std::uint32_t>(what);
    if (!type) return std::unexpected(type.error());
    const auto offset = in_.read<std::uint64_t>(what);
    if (!offset) return std::unexpected(offset.error());
    const auto dtype = base::dtype_from_ggml(*type);
    if (!dtype) return fail("tensor {} has ggml type {}, which is not supported", in_quotes(*name), *type);
    tensor.dtype = *dtype;
    const auto& format = base::info(*dtype);
    if (tensor.cols() % format.block_elems != 0) {
      return fail("tensor {} has rows of {} elements, not a multiple of the {} of a {} block", in_quotes(*name),
                  tensor.cols(), format.block_elems, format.name);
    }
    // Later sums cannot overflow: elements < 2^63 are at most 8 bytes each, so blocks are compared, not bytes.
    if (elements / format.block_elems > in_.left() / format.block_bytes) {
      return fail("tensor {} is larger than the file: the file is cut off or damaged", in_quotes(*name));
    }
    part_.tensors.push_back({*name, tensor});
    offsets_.push_back(*offset);
    return {};
  }

  Result<std::uint64_t> alignment() const {
    const auto found = part_.values.find("general.alignment");
    if (found == part_.values.end()) return 32;
    const auto* value = std::get_if<std::int64_t>(&found->second);
    // 8 is the least the format allows; it also keeps every plain element type on its own boundary.
    if (value == nullptr || *value < 8 || static_cast<std::uint64_t>(*value) > kLargestAlignment ||
        !std::has_single_bit(static_cast<std::uint64_t>(*value))) {
      return fail("general.alignment must be a power of two from 8 to {}", kLargestAlignment);
    }
    return static_cast<std::uint64_t>(*value);
  }

  // Gives the tensors their bytes once it is known where the data begins.
  Result<void> place_tensors() {
    if (part_.tensors.empty()) return {};
    const auto align = alignment();
    if (!align) return std::unexpected(align.error());
    const std::uint64_t begin = (in_.at() + *align - 1) / *align * *align;
    const std::uint64_t size = bytes_.size() > begin ? bytes_.size() - begin : 0;
    for (std::size_t i = 0; i < part_.tensors.size(); ++i) {
      auto& [name, tensor] = part_.tensors[i];
      if (offsets_[i] % *align != 0) {
        return fail("tensor {} lies at offset {}, not a multiple of {}", in_quotes(name), offsets_[i], *align);
      }
      if (offsets_[i] > size || tensor.bytes() > size - offsets_[i]) {
        return fail("tensor {} needs {} bytes at offset {} but the file has {} bytes of data: cut off or damaged",
                    in_quotes(name), tensor.bytes(), offsets_[i], size);
      }
      tensor.data = bytes_.data() + begin + offsets_[i];
    }
    return check_overlap();
  }

  Result<void> check_overlap() const {
    std::vector<const GgufTensor*> order;
    for (const auto& entry : part_.tensors) order.push_back(&entry);
    std::ranges::sort(order, {}, [](const GgufTensor* t) { return t->tensor.data; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->tensor.data + order[i - 1]->tensor.bytes() > order[i]->tensor.data) {
        return fail("tensors {} and {} overlap", in_quotes(order[i - 1]->name), in_quotes(order[i]->name));
      }
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  Reader in_;
  Part part_;
  std::vector<std::uint64_t> offsets_;
  std::uint64_t items_ = 0;
};

std::optional<std::int64_t> integer_in(const Part& part, std::string_view key) {
  const auto found = part.values.find(key);
  const auto* value = found == part.values.end() ? nullptr : std::get_if<std::int64_t>(&found->second);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

// "dir/model-00002-of-00007.gguf" for part 1 of 7.
std::string part_path(std::string_view stem, std::int64_t number, std::int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, number + 1, count);
}

struct OpenedPart {
  MappedFile map;
  Part part;
};

Result<OpenedPart> open_part(const std::string& path) {
  auto map = MappedFile::open(path);
  if (!map) return std::unexpected(map.error());
  auto part = PartReader(map->bytes()).read();
  if (!part) return base::fail_with(path, part.error());
  return OpenedPart{std::move(*map), std::move(*part)};
}

// The parts of the set that `first` belongs to, in order.
Result<std::vector<OpenedPart>> open_set(const std::string& path, OpenedPart first, std::int64_t count) {
  if (count > kMostParts) return fail("{}: split.count is {}, at most {} are possible", path, count, kMostParts);
  const auto number = integer_in(first.part, "split.no");
  if (!number || *number < 0 || *number >= count) return fail("{}: split.no is not one of 0 to {}", path, count - 1);
  const std::string ending = part_path("", *number, count);
  if (!path.ends_with(ending)) {
    return fail("{}: is part {} of {}, so its name must end in {}: give the parts back their names", path, *number + 1,
                count, in_quotes(ending));
  }
  const std::string stem = path.substr(0, path.size() - ending.size());
  // All names first, so that the message comes before gigabytes are mapped.
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string name = part_path(stem, i, count);
    std::error_code ignored;
    if (!std::filesystem::exists(name, ignored)) {
      return fail("{}: missing; the model is in {} parts: get this one too", name, count);
    }
  }
  std::vector<OpenedPart> parts;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string name = part_path(stem, i, count);
    auto part = i == *number ? Result<OpenedPart>(std::move(first)) : open_part(name);
    if (!part) return std::unexpected(part.error());
    if (integer_in(part->part, "split.count") != count || integer_in(part->part, "split.no") != i) {
      return fail("{}: its split.no and split.count do not say {} of {}: it belongs to another set", name, i, count);
    }
    parts.push_back(std::move(*part));
  }
  std::int64_t tensors = 0;
  for (const auto& part : parts) tensors += static_cast<std::int64_t>(part.part.tensors.size());
  if (const auto said = integer_in(parts[0].part, "split.tensors.count"); said && *said != tensors) {
    return fail("{}: the set says it holds {} tensors but its {} parts hold {}", path, *said, count, tensors);
  }
  return parts;
}

Result<std::map<std::string_view, std::size_t>> index_names(const std::vector<GgufTensor>& tensors) {
  std::map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!index.emplace(tensors[i].name, i).second) return fail("has the tensor {} twice", in_quotes(tensors[i].name));
  }
  return index;
}

}  // namespace

Result<Gguf> Gguf::open(const std::string& path) {
  auto first = open_part(path);
  if (!first) return std::unexpected(first.error());
  std::vector<OpenedPart> parts;
  const std::int64_t count = integer_in(first->part, "split.count").value_or(1);
  if (count > 1) {
    auto set = open_set(path, std::move(*first), count);
    if (!set) return std::unexpected(set.error());
    parts = std::move(*set);
  } else {
    parts.push_back(std::move(*first));
  }
  Gguf gguf;
  gguf.path_ = path;
  gguf.values_ = std::move(parts[0].part.values);
  gguf.encoded_ = std::move(parts[0].part.encoded);
  for (auto& [map, part] : parts) {
    gguf.file_bytes_ += map.bytes().size();
    gguf.maps_.push_back(std::move(map));
    gguf.tensors_.insert(gguf.tensors_.end(), part.tensors.begin(), part.tensors.end());
  }
  auto index = index_names(gguf.tensors_);
  if (!index) return base::fail_with(path, index.error());
  gguf.index_ = std::move(*index);
  return gguf;
}

Result<Gguf> Gguf::parse(std::span<const std::byte> bytes, std::string_view name) {
  auto part = PartReader(bytes).read();
  if (!part) return base::fail_with(name, part.error());
  auto index = index_names(part->tensors);
  if (!index) return base::fail_with(name, index.error());
  Gguf gguf;
  gguf.path_ = name;
  gguf.file_bytes_ = bytes.size();
  gguf.values_ = std::move(part->values);
  gguf.encoded_ = std::move(part->encoded);
  gguf.tensors_ = std::move(part->tensors);
  gguf.index_ = std::move(*index);
  return gguf;
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

std::span<const std::byte> Gguf::encoded(std::string_view key) const {
  const auto found = encoded_.find(key);
  return found == encoded_.end() ? std::span<const std::byte>() : found->second;
}

std::optional<std::int64_t> Gguf::integer(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* integer = std::get_if<std::int64_t>(value)) return *integer;
  if (const auto* flag = std::get_if<bool>(value)) return *flag ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Gguf::number(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* real = std::get_if<double>(value)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(value)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  const auto* value = find(key);
  const auto* flag = value == nullptr ? nullptr : std::get_if<bool>(value);
  return flag == nullptr ? std::nullopt : std::optional(*flag);
}

std::optional<std::string_view> Gguf::string(std::string_view key) const {
  const auto* value = find(key);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string_view>(value);
  return text == nullptr ? std::nullopt : std::optional(*text);
}

const GgufArray* Gguf::array(std::string_view key) const {
  const auto* value = find(key);
  return value == nullptr ? nullptr : std::get_if<GgufArray>(value);
}

std::span<const std::string_view> Gguf::strings(std::string_view key) const {
  const auto* items = array(key);
  const auto* texts = items == nullptr ? nullptr : std::get_if<std::vector<std::string_view>>(items);
  return texts == nullptr ? std::span<const std::string_view>() : std::span(*texts);
}

const base::Tensor* Gguf::tensor(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second].tensor;
}

}  // namespace fathom::files
