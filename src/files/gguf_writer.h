// Writes GGUF 3: first the keys and the list of tensors, then each tensor's data as a callback gives it, so that no
// tensor is ever held whole. The name appears only when the file is whole.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "base/function_ref.h"

namespace fathom::files {

class Gguf;

class GgufWriter {
 public:
  // One setter for each type of the format, since readers insist on the width they expect. Setting a key again replaces
  // its value; keys are written in the order in which they were first set.
  void set_u32(std::string_view key, std::uint32_t value);
  void set_i32(std::string_view key, std::int32_t value);
  void set_u64(std::string_view key, std::uint64_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_strings(std::string_view key, std::span<const std::string_view> values);
  void set_i32s(std::string_view key, std::span<const std::int32_t> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  // Every key of another file as it stands there, except those about its being split.
  void copy_keys(const Gguf& from);
  void remove(std::string_view key);

  // Adds a tensor to the list; shape in PyTorch's order. Errors: a doubled name, more than 4 dimensions, rows that are
  // not whole blocks, a size that overflows.
  base::Result<void> add_tensor(std::string_view name, base::DType dtype, std::span<const std::int64_t> shape);

  // Takes a piece of the current tensor's bytes; pieces follow each other.
  using Sink = base::FunctionRef<base::Result<void>(std::span<const std::byte>)>;
  // Called once for each tensor, in the order of add_tensor.
  using Fill = base::FunctionRef<base::Result<void>(std::size_t index, Sink sink)>;

  // Errors: a full disk (before any data is asked for, where the file system can tell), a failed callback. Nothing is
  // left behind then. That a callback gives exactly its tensor's bytes is CHECKed.
  base::Result<void> write(const std::string& path, Fill fill) const;

  std::uint64_t file_bytes() const;  // of the file that write() would make

 private:
  struct Entry {
    std::string name;
    base::DType dtype;
    std::vector<std::int64_t> shape;
    std::uint64_t bytes;
  };

  std::string& slot(std::string_view key);
  std::uint64_t alignment() const;
  std::string header() const;

  std::vector<std::pair<std::string, std::string>> keys_;  // key, and type and value as in the file
  std::map<std::string, std::size_t, std::less<>> key_index_;
  std::vector<Entry> tensors_;
  std::map<std::string, std::size_t, std::less<>> tensor_index_;
};

}  // namespace fathom::files
