// GGUF 2 and 3, one file or split: the header's key-value pairs and named tensor views over mapped bytes. Untrusted
// input: every count, length and offset is checked before it is used or anything is allocated. What shapes a model
// expects is not known here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "files/mapped_file.h"

namespace fathom::files {

// An array of a GGUF header. Strings are views into the mapped file.
using GgufArray = std::variant<std::vector<std::int64_t>, std::vector<double>, std::vector<std::string_view>>;
// Integers and booleans of every width become int64 (a u64 above 2^63 - 1 is refused), floats double.
using GgufValue = std::variant<std::int64_t, double, bool, std::string_view, GgufArray>;

struct GgufTensor {
  std::string_view name;
  base::Tensor tensor;  // shape turned to [out, in]
};

class Gguf {
 public:
  // Opens one file; where its name and `split.count` say it is part of a set, opens them all (path may name any of
  // them). Errors: missing or short parts, bad magic or version, counts or offsets beyond the file, unknown types, doubled names.
  static base::Result<Gguf> open(const std::string& path);

  // The same checks over bytes in memory; the fuzzer's way in. The bytes must outlive the object.
  static base::Result<Gguf> parse(std::span<const std::byte> bytes, std::string_view name);

  const GgufValue* find(std::string_view key) const;
  std::optional<std::int64_t> integer(std::string_view key) const;       // integers and booleans
  std::optional<double> number(std::string_view key) const;              // integers and floats
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  const GgufArray* array(std::string_view key) const;
  std::span<const std::string_view> strings(std::string_view key) const;  // empty where absent or of another type

  // A key's type and value as they stand in the file, to be copied into another (widths are lost in GgufValue and
  // other readers insist on them); empty where absent.
  std::span<const std::byte> encoded(std::string_view key) const;

  const std::map<std::string_view, GgufValue>& values() const { return values_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }     // in file order
  const base::Tensor* tensor(std::string_view name) const;
  const std::string& path() const { return path_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  std::string path_;
  std::uint64_t file_bytes_ = 0;
  std::vector<MappedFile> maps_;
  std::map<std::string_view, GgufValue> values_;
  std::map<std::string_view, std::span<const std::byte>> encoded_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string_view, std::size_t> index_;
};

}  // namespace fathom::files
