// The choice of a table: what the environment may ask for, that tables are complete, and that the objects built for one
// instruction set keep to themselves.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "random_weights.h"

namespace fathom::kernels::test {
namespace {

const char* const kNames[] = {"scalar", "avx2", "avx512"};

constexpr int kReported = 10;  // an error that names the tables of this machine was reported
const char* const kAsked = "FATHOM_TEST_REPORT_CHOICE";

// What this process chose, as an exit status.
int choice_as_status() {
  const std::string error(selection_error());
  const char* wanted = std::getenv("FATHOM_KERNELS");
  const bool names = wanted && error.find(wanted) != std::string::npos && error.find("scalar") != std::string::npos;
  for (int i = 0; i < 3; ++i)
    if (table().name == kNames[i] && &table() == find_table(kNames[i]) && (error.empty() || names))
      return i + (error.empty() ? 0 : kReported);
  return 99;
}

// The choice is made once in a process, so each question is put to a new one, which runs this test alone.
TEST(Dispatch, AProcessKeepsItsChoice) {
  if (std::getenv(kAsked)) _exit(choice_as_status());
  EXPECT_EQ(&table(), &table());
  EXPECT_EQ(&table(), find_table(table().name));
}

int choice_with(const char* environment) {
  const pid_t child = fork();
  if (child == 0) {
    if (environment) {
      setenv("FATHOM_KERNELS", environment, 1);
    } else {
      unsetenv("FATHOM_KERNELS");
    }
    setenv(kAsked, "1", 1);
    execl("/proc/self/exe", "test_kernels", "--gtest_filter=Dispatch.AProcessKeepsItsChoice", nullptr);
    _exit(98);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Dispatch, TheEnvironmentNamesATable) {
  int best = 2;
  while (best > 0 && !find_table(kNames[best])) --best;
  EXPECT_EQ(choice_with(nullptr), best);
  EXPECT_EQ(choice_with(""), best);
  for (int i = 0; i <= best; ++i) EXPECT_EQ(choice_with(kNames[i]), i) << kNames[i];
  // An unknown name, or one this machine cannot run, is reported and changes nothing.
  EXPECT_EQ(choice_with("neon"), best + kReported);
  for (int i = best + 1; i < 3; ++i) EXPECT_EQ(choice_with(kNames[i]), best + kReported) << kNames[i];
}

TEST(Dispatch, TablesAreComplete) {
  EXPECT_EQ(find_table("no such table"), nullptr);
  for (const char* name : kNames) {
    const Table* t = find_table(name);
    if (!t) continue;
    EXPECT_EQ(t->name, name);
    for (const auto& types : {block_types(), plain_types()})
      for (const DType type : types) {
        EXPECT_NE(t->decode[static_cast<std::size_t>(type)], nullptr) << name << " " << name_of(type);
        EXPECT_NE(t->linear[static_cast<std::size_t>(type)], nullptr) << name << " " << name_of(type);
      }
    EXPECT_EQ(t->linear[static_cast<std::size_t>(DType::kI64)], nullptr);
    EXPECT_EQ(t->pack == nullptr, t->packed_bytes == nullptr);
    EXPECT_TRUE(t->linear_f32 && t->linear_transposed && t->rms_norm && t->rope && t->swiglu && t->attention);
    EXPECT_TRUE(t->store_row && t->load_row);
  }
}

TEST(Dispatch, CacheRowSizes) {
  EXPECT_EQ(cache_row_bytes(DType::kF32, 7), 28u);
  EXPECT_EQ(cache_row_bytes(DType::kBF16, 7), 14u);
  EXPECT_EQ(cache_row_bytes(DType::kI8, 7), 12u);
  EXPECT_EQ(cache_row_bytes(DType::kI8, 64), 68u);
  EXPECT_EQ(cache_row_bytes(DType::kI8, 65), 76u);
  EXPECT_EQ(cache_row_bytes(DType::kI8, 576), 612u);
}

// The objects lie in the build folder this program was built in, one above its own folder.
TEST(Dispatch, ObjectsOfInstructionSetsKeepToThemselves) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "sanitizers add their own initialisers";
#endif
  char self[4096];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  ASSERT_GT(n, 0);
  std::string build(self, static_cast<std::size_t>(n));
  for (int up = 0; up < 2; ++up) build.resize(build.rfind('/'));
  const std::string command = std::string(FATHOM_SOURCE_DIR "/tests/check_isa_objects.sh '") + build + "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace fathom::kernels::test
