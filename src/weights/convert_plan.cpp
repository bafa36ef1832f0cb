#include "weights/convert_plan.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "weights/convert_config.h"
#include "weights/convert_tokenizer.h"
#include "weights/names.h"

namespace fathom::weights {
namespace {

using base::DType;
using base::fail;
using base::Result;
using base::Tensor;

std::vector<std::int64_t> shape_of(const Tensor& t) {
  return {t.shape.begin(), t.shape.begin() + t.rank};
}

Tensor as_matrix(Tensor t, std::int64_t rows, std::int64_t cols) {
  t.rank = 2;
  t.shape = {rows, cols};
  return t;
}

// Counted in whole numbers of a file: routing tables, not weights.
bool is_integer(DType type) {
  return type == DType::kI8 || type == DType::kI16 || type == DType::kI32 || type == DType::kI64;
}

void set_file_type(files::GgufWriter& out, const FileType& type) {
  out.set_u32("general.file_type", type.id);
  out.set_u32("general.quantization_version", 2);  // of the k-quants; there has been no other since 2023
}

Result<void> enlist(ConvertPlan& plan) {
  for (const ConvertedTensor& t : plan.tensors)
    if (auto added = plan.writer.add_tensor(t.name, t.type, t.shape); !added) return added;
  return {};
}

MixtureModel mixture_model(const files::Gguf& file) {
  const std::string prefix = std::string(file.string("general.architecture").value_or("")) + ".";
  const auto integer = [&](const char* key, std::int64_t otherwise) {
    return file.integer(prefix + key).value_or(otherwise);
  };
  const std::int64_t heads = integer("attention.head_count", 1), kv_heads = integer("attention.head_count_kv", heads);
  return {.layers = integer("block_count", 0),
          .experts = integer("expert_count", 0),
          .queries_per_key = kv_heads > 0 ? heads / kv_heads : 1,
          .tied = file.tensor("output.weight") == nullptr};
}

Result<ConvertPlan> plan_gguf(const files::Gguf& file, const FileType& type) {
  ConvertPlan plan;
  plan.writer.copy_keys(file);
  if (const auto alignment = file.integer("general.alignment"))
    plan.writer.set_u32("general.alignment", static_cast<std::uint32_t>(*alignment));
  set_file_type(plan.writer, type);
  const MixtureModel model = mixture_model(file);
  for (const auto& [name, tensor] : file.tensors()) {
    ConvertedTensor t{.name = std::string(name),
                      .shape = shape_of(tensor),
                      .parts = {as_matrix(tensor, tensor.rows(), tensor.cols())}};
    t.type = is_integer(tensor.dtype) ? tensor.dtype : tensor_type(type, model, name, t.shape);
    plan.tensors.push_back(std::move(t));
  }
  if (auto r = enlist(plan); !r) return std::unexpected(r.error());
  return plan;
}

// ---- from a directory

// Rows that rotate and stand in halves where GGUF wants pairs.
RowOrder row_order(const ConvertConfig& c, std::string_view name) {
  if (!c.halves_to_pairs) return {};
  const auto is = [&](std::string_view part) { return name.find(part) != name.npos; };
  const RowOrder head{.group = c.head, .begin = c.head - c.rope, .count = c.rope};
  if (is("self_attn.q_proj.") || is("self_attn.q_b_proj.") || is("self_attn.k_proj.")) return head;
  if (is("self_attn.kv_a_proj_with_mqa.")) return {.group = c.kv_rank + c.rope, .begin = c.kv_rank, .count = c.rope};
  return {};
}

// kv_b [heads (nope + value), rank] as GGUF's halves: each head's key rows turned round, [heads, rank, nope], and its
// value rows, [heads, value, rank].
void split_kv_b(const ConvertConfig& c, const Tensor& kv_b, std::int64_t layer, std::vector<ConvertedTensor>& out) {
  ConvertedTensor k{
      .name = fmt::format("blk.{}.attn_k_b.weight", layer), .shape = {c.heads, c.kv_rank, c.nope}, .transposed = true};
  ConvertedTensor v{.name = fmt::format("blk.{}.attn_v_b.weight", layer), .shape = {c.heads, c.value, c.kv_rank}};
  for (std::int64_t head = 0; head < c.heads; ++head) {
    const std::int64_t begin = head * (c.nope + c.value);
    k.parts.push_back(kv_b.row_slice(begin, c.nope));
    v.parts.push_back(kv_b.row_slice(begin + c.nope, c.value));
  }
  out.push_back(std::move(k));
  out.push_back(std::move(v));
}

class DirectoryPlan {
 public:
  DirectoryPlan(const Checkpoint& from, const ConvertConfig& config) : from_(from), config_(config) {}

  Result<void> add(const TensorSpec& spec) {
    if (spec.matrix == nullptr && spec.vector == nullptr) return {};  // listed so as not to be left over
    const auto found = from_.find(spec.name);
    if (!found) return std::unexpected(found.error());
    if (!*found) return spec.optional ? Result<void>() : fail("tensor {} is missing", spec.name);
    const auto name = gguf_name(spec.name);
    if (!name) return fail("tensor {} has no name in GGUF", spec.name);
    if (spec.name.find("self_attn.kv_b_proj.") != spec.name.npos) {
      const std::int64_t rows = config_.heads * (config_.nope + config_.value);
      if ((*found)->rows() != rows)
        return fail("tensor {} has {} rows, expected {}", spec.name, (*found)->rows(), rows);
      split_kv_b(config_, **found, layer_of(spec.name), tensors_);
      return {};
    }
    const RowOrder order = row_order(config_, spec.name);
    // A bias whose order changes is a matrix of one column.
    const bool column = spec.shape.size() == 1 && order.group > 0;
    const Tensor matrix =
        column ? as_matrix(**found, (*found)->elements(), 1) : as_matrix(**found, (*found)->rows(), (*found)->cols());
    if (name->expert >= 0) return add_expert(*name, matrix);
    tensors_.push_back({.name = name->name, .shape = spec.shape, .parts = {matrix}, .order = order});
    return {};
  }

  void add_divisors() {
    if (config_.rope_divisors.empty()) return;
    tensors_.push_back({.name = "rope_freqs.weight",
                        .shape = {static_cast<std::int64_t>(config_.rope_divisors.size())},
                        .made = config_.rope_divisors});
  }

  bool drafts() const {
    return std::ranges::any_of(tensors_,
                               [](const ConvertedTensor& t) { return t.name.ends_with("nextn.eh_proj.weight"); });
  }
  std::vector<ConvertedTensor> take() { return std::move(tensors_); }

 private:
  Result<void> add_expert(const GgufName& name, const Tensor& matrix) {
    const auto [at, first] = stacks_.emplace(name.name, tensors_.size());
    if (first) tensors_.push_back({.name = name.name, .shape = {0, matrix.rows(), matrix.cols()}});
    ConvertedTensor& stack = tensors_[at->second];
    FATHOM_CHECK(name.expert == stack.shape[0]);  // the list names them in order
    stack.parts.push_back(matrix);
    ++stack.shape[0];
    return {};
  }

  const Checkpoint& from_;
  const ConvertConfig& config_;
  std::vector<ConvertedTensor> tensors_;
  std::map<std::string, std::size_t> stacks_;  // where in tensors_
};

Result<ConvertPlan> plan_directory(const Checkpoint& from, std::span<const TensorSpec> specs, const FileType& type) {
  const auto config = read_convert_config(from.config());
  if (!config) return std::unexpected(config.error());
  DirectoryPlan tensors(from, *config);
  for (const TensorSpec& spec : specs)
    if (auto r = tensors.add(spec); !r) return std::unexpected(r.error());
  tensors.add_divisors();
  ConvertPlan plan;
  plan.writer.set_string("general.architecture", config->architecture);
  plan.writer.set_string("general.type", "model");
  std::error_code error;
  const auto path = std::filesystem::absolute(from.path(), error).lexically_normal();
  plan.writer.set_string("general.name", (path.has_filename() ? path : path.parent_path()).filename().string());
  set_file_type(plan.writer, type);
  const bool drafts = tensors.drafts();
  if (auto r = set_config_keys(from.config(), *config, drafts, plan.writer); !r) return std::unexpected(r.error());
  if (auto r = set_tokenizer_keys(from.path(), config->vocabulary, plan.writer); !r) return std::unexpected(r.error());
  const MixtureModel model{.layers = config->layers + (drafts ? config->draft_layers : 0),
                           .experts = config->experts,
                           .queries_per_key = config->kv_heads > 0 ? config->heads / config->kv_heads : 1,
                           .tied = config->tied};
  plan.tensors = tensors.take();
  for (ConvertedTensor& t : plan.tensors) t.type = tensor_type(type, model, t.name, t.shape);
  if (auto r = enlist(plan); !r) return std::unexpected(r.error());
  return plan;
}

}  // namespace

Result<ConvertPlan> plan_conversion(const Checkpoint& from, std::span<const TensorSpec> specs, const FileType& type) {
  if (from.gguf() != nullptr) return plan_gguf(*from.gguf(), type);
  return plan_directory(from, specs, type);
}

}  // namespace fathom::weights
