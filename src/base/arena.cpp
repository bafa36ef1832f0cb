#include "base/arena.h"

#include <algorithm>
#include <new>

namespace fathom::base {
namespace {
constexpr std::size_t kAlign = 64;
constexpr std::size_t kSmallestBlock = std::size_t{1} << 20;
}  // namespace

void Arena::Free::operator()(std::byte* p) const {
  ::operator delete[](p, std::align_val_t{kAlign});
}

Arena::Block Arena::make_block(std::size_t size) {
  return {std::unique_ptr<std::byte[], Free>(static_cast<std::byte*>(::operator new[](size, std::align_val_t{kAlign}))),
          size};
}

std::byte* Arena::bytes(std::size_t size) {
  size = (size + kAlign - 1) / kAlign * kAlign;
  while (current_ < blocks_.size() && used_ + size > blocks_[current_].size) {
    ++current_;
    used_ = 0;
  }
  if (current_ == blocks_.size()) {
    blocks_.push_back(make_block(std::max(size, std::max(kSmallestBlock, capacity()))));
    used_ = 0;
  }
  std::byte* p = blocks_[current_].data.get() + used_;
  used_ += size;
  return p;
}

void Arena::reset() {
  if (blocks_.size() > 1) {
    const std::size_t total = capacity();
    blocks_.clear();
    blocks_.push_back(make_block(total));
  }
  current_ = used_ = 0;
}

void Arena::release(Mark mark) {
  current_ = mark.block;
  used_ = mark.used;
}

std::size_t Arena::capacity() const {
  std::size_t total = 0;
  for (const auto& block : blocks_) total += block.size;
  return total;
}

}  // namespace fathom::base
