#include "weights/convert.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/table.h"
#include "weights/convert_plan.h"
#include "weights/quantize.h"

namespace fathom::weights {
namespace {

using base::DType;
using base::fail;
using base::Result;
using base::Tensor;
using files::GgufWriter;

// Numbers of one piece: enough that a thread's share outweighs its waking, little enough to stay out of the way.
constexpr std::int64_t kPieceNumbers = std::int64_t{4} << 20;
constexpr std::int64_t kGrainNumbers = std::int64_t{1} << 14;

class Conversion {
 public:
  Conversion(const ConvertPlan& plan, const std::string& source, base::ThreadPool& pool, ConvertReport report)
      : plan_(plan),
        source_(source),
        pool_(pool),
        report_(report),
        table_(kernels::table()),
        row_(static_cast<std::size_t>(pool.threads())) {
    progress_ = {.count = plan.tensors.size(), .bytes = plan.writer.file_bytes()};
  }

  Result<void> write_tensor(std::size_t index, GgufWriter::Sink sink) {
    const ConvertedTensor& t = plan_.tensors[index];
    progress_.tensor = t.name;
    progress_.type = t.type;
    progress_.index = index;
    if (!t.made.empty()) return write_rows(t, vector_of(t.made), sink);
    for (const Tensor& part : t.parts) {
      if (auto r = t.transposed ? write_transposed(t, part, sink) : write_part(t, part, sink); !r) return r;
    }
    return {};
  }

 private:
  static Tensor vector_of(const std::vector<float>& values) {
    return {.dtype = DType::kF32,
            .rank = 2,
            .shape = {1, static_cast<std::int64_t>(values.size())},
            .data = reinterpret_cast<const std::byte*>(values.data())};
  }

  Result<void> write_part(const ConvertedTensor& t, const Tensor& part, GgufWriter::Sink sink) {
    if (!can_quantize(t.type)) return copy(part, sink);  // whole numbers, which are no weights
    if (table_.decode[static_cast<std::size_t>(part.dtype)] == nullptr)
      return fail("{}: tensor {} is of type {}, which cannot be read", source_, t.name, base::info(part.dtype).name);
    return write_rows(t, part, sink);
  }

  Result<void> copy(const Tensor& part, GgufWriter::Sink sink) {
    const std::int64_t step = std::max<std::int64_t>(1, kPieceNumbers / part.cols());
    for (std::int64_t first = 0; first < part.rows(); first += step) {
      const std::int64_t rows = std::min(step, part.rows() - first);
      if (auto r = give({part.row(first), static_cast<std::size_t>(rows) * part.row_stride()}, sink); !r) return r;
    }
    return {};
  }

  // The part whole in fp32, turned round (one head's 128 x 512 numbers), then as any other.
  Result<void> write_transposed(const ConvertedTensor& t, const Tensor& part, GgufWriter::Sink sink) {
    const std::int64_t rows = part.rows(), cols = part.cols();
    std::vector<float> line(static_cast<std::size_t>(cols));
    turned_.resize(static_cast<std::size_t>(rows * cols));
    for (std::int64_t r = 0; r < rows; ++r) {
      kernels::dequantize_row(table_, part, r, line.data());
      for (std::int64_t c = 0; c < cols; ++c)
        turned_[static_cast<std::size_t>(c * rows + r)] = line[static_cast<std::size_t>(c)];
    }
    Tensor turned = vector_of(turned_);
    turned.shape = {cols, rows};
    return write_rows(t, turned, sink);
  }

  Result<void> write_rows(const ConvertedTensor& t, const Tensor& part, GgufWriter::Sink sink) {
    const std::int64_t cols = part.cols(), step = std::max<std::int64_t>(1, kPieceNumbers / cols);
    const std::size_t stride = base::row_bytes(t.type, static_cast<std::size_t>(cols));
    for (auto& row : row_) row.resize(static_cast<std::size_t>(cols));
    // Numbers that stay in their type need only be numbers.
    const float limit = largest_magnitude(part.dtype == t.type ? DType::kF32 : t.type);
    std::atomic<std::int64_t> wrong{-1};
    for (std::int64_t first = 0; first < part.rows(); first += step) {
      const std::int64_t rows = std::min(step, part.rows() - first);
      piece_.resize(static_cast<std::size_t>(rows) * stride);
      pool_.loop(rows, std::max<std::int64_t>(1, kGrainNumbers / cols),
                 [&](std::int64_t begin, std::int64_t end, int thread) {
                   float* row = row_[static_cast<std::size_t>(thread)].data();
                   for (std::int64_t r = begin; r < end; ++r) {
                     kernels::dequantize_row(table_, part, t.order.source(first + r), row);
                     if (!holds(limit, row, cols)) {
                       wrong = first + r;
                       return;
                     }
                     std::byte* to = piece_.data() + static_cast<std::size_t>(r) * stride;
                     if (part.dtype == t.type) {
                       std::memcpy(to, part.row(t.order.source(first + r)), stride);
                     } else {
                       quantize_row(t.type, row, cols, to);
                     }
                   }
                 });
      if (wrong >= 0) return refuse(t, part, wrong);
      if (auto r = give({piece_.data(), piece_.size()}, sink); !r) return r;
    }
    return {};
  }

  // False for a NaN too.
  static bool holds(float limit, const float* row, std::int64_t n) {
    bool all = true;
    for (std::int64_t i = 0; i < n; ++i) all &= std::abs(row[i]) <= limit;
    return all;
  }

  std::unexpected<base::Error> refuse(const ConvertedTensor& t, const Tensor& part, std::int64_t row) {
    float* numbers = row_[0].data();
    kernels::dequantize_row(table_, part, t.order.source(row), numbers);
    for (std::int64_t c = 0; c < part.cols(); ++c) {
      if (std::isfinite(numbers[c]) && std::abs(numbers[c]) <= largest_magnitude(t.type)) continue;
      return fail("{}: tensor {}: row {} holds {}, which {} cannot hold{}", source_, t.name, row, numbers[c],
                  base::info(t.type).name,
                  std::isfinite(numbers[c]) ? " (bf16 and f32 can)" : ": the source is damaged");
    }
    return fail("{}: tensor {}: row {} cannot be held by {}", source_, t.name, row, base::info(t.type).name);
  }

  Result<void> give(std::span<const std::byte> bytes, GgufWriter::Sink sink) {
    if (auto r = sink(bytes); !r) return r;
    progress_.written += bytes.size();
    return report_(progress_);
  }

  const ConvertPlan& plan_;
  const std::string& source_;
  base::ThreadPool& pool_;
  ConvertReport report_;
  const kernels::Table& table_;
  std::vector<std::vector<float>> row_;  // of each thread
  std::vector<float> turned_;
  std::vector<std::byte> piece_;
  ConvertProgress progress_;
};

}  // namespace

Result<void> convert(const ConvertRequest& request, base::ThreadPool& pool, ConvertReport report) {
  const auto plan = plan_conversion(request.from, request.specs, request.type);
  if (!plan) return base::fail_with(request.from.path(), plan.error());
  Conversion conversion(*plan, request.from.path(), pool, report);
  return plan->writer.write(request.to, [&](std::size_t index, GgufWriter::Sink sink) -> Result<void> {
    return conversion.write_tensor(index, sink);
  });
}

}  // namespace fathom::weights
