// Memory for the intermediate values of one step: handed out by moving a pointer, taken back all at once. After the
// first steps have shown how much is needed, no step allocates.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace fathom::base {

class Arena {
 public:
  // 64-byte aligned, uninitialised; valid until reset().
  std::byte* bytes(std::size_t size);

  template <class T>
  T* array(std::int64_t count) {
    return reinterpret_cast<T*>(bytes(sizeof(T) * static_cast<std::size_t>(count)));
  }

  // Forgets everything handed out. If it lay in several blocks, they become one, so that the next step finds room.
  void reset();

  // Everything handed out since `mark()` returned this value is forgotten by `release(value)`.
  struct Mark {
    std::size_t block, used;
  };
  Mark mark() const { return {current_, used_}; }
  void release(Mark mark);

  std::size_t capacity() const;

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Block {
    std::unique_ptr<std::byte[], Free> data;
    std::size_t size;
  };
  static Block make_block(std::size_t size);

  std::vector<Block> blocks_;
  std::size_t current_ = 0;  // block in use
  std::size_t used_ = 0;     // bytes of it
};

}  // namespace fathom::base
