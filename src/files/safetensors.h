// safetensors: one file, or the shards that a folder's model.safetensors.index.json names, as named tensor views over
// mapped bytes. Untrusted input: lengths, offsets and names are checked before they are used. Which tensors belong
// together (FP8 weights and their scales) and what shapes a model expects is not known here.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "files/mapped_file.h"

namespace fathom::files {

struct SafetensorsTensor {
  std::string name;
  base::Tensor tensor;
};

class Safetensors {
 public:
  // A .safetensors file, or a folder with model.safetensors, with model.safetensors.index.json and all shards that it
  // names, or with a single .safetensors file. Where there is an index it alone says which shard a tensor comes from.
  static base::Result<Safetensors> open(const std::string& path);

  // The same checks over one file's bytes in memory; the fuzzer's way in. The bytes must outlive the object.
  static base::Result<Safetensors> parse(std::span<const std::byte> bytes, std::string_view name);

  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // by shard, in the order of its bytes
  const base::Tensor* tensor(std::string_view name) const;
  // `__metadata__` of the file, or of the first shard.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  static base::Result<Safetensors> open_file(const std::string& path);
  static base::Result<Safetensors> open_index(const std::string& folder);
  base::Result<void> index_names();

  std::string path_;
  std::uint64_t file_bytes_ = 0;
  std::vector<MappedFile> maps_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

// Writes plain (not block format) tensors so that every reader of the format takes them; the name appears at `path`
// only when the file is whole. Errors: a type the format has no word for, a doubled name, a full disk.
base::Result<void> write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                                     const std::map<std::string, std::string>& metadata = {});

}  // namespace fathom::files
