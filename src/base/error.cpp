#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace fathom::base {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "fathom: internal error: %s does not hold (%s:%d). Please report this.\n", condition, file,
               line);
  std::abort();
}

}  // namespace fathom::base
